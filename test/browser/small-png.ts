// A picture of a page in 256 colors, a third of the size. Ruled by https://www.w3.org/TR/png-3/

import { deflateSync, inflateSync } from 'node:zlib';

const SIGNATURE = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');
const CHANNELS = 3;
const MAX_COLORS = 256;
/** Of the header: 8 bits a channel or index; red, green and blue, or an index of the palette. */
const DEPTH = 8;
const TRUE_COLOR = 2;
const PALETTE = 3;

/**
 * Of Chromium's screenshots, and of no other: throws a `TypeError` for what is not of 8 bits in
 * red, green and blue.
 */
export function smallPng(png: Buffer): Buffer {
  const chunks = chunksOf(png);
  const header = Buffer.from(chunks.find(({ type }) => type === 'IHDR')?.data ?? []);
  if (header[8] !== DEPTH || header[9] !== TRUE_COLOR) {
    throw new TypeError('a PNG must have 8 bits each of red, green and blue to be made smaller');
  }
  const width = header.readUInt32BE(0);
  const filtered = inflateSync(
    Buffer.concat(chunks.filter(({ type }) => type === 'IDAT').map(({ data }) => data)),
  );
  const { palette, indices } = withPalette(unfilter(filtered, width * CHANNELS));
  const rows: Buffer[] = [];
  for (let at = 0; at < indices.length; at += width) {
    rows.push(Buffer.of(0), indices.subarray(at, at + width)); // 0: not filtered
  }
  header[9] = PALETTE;
  return Buffer.concat([
    SIGNATURE,
    chunk('IHDR', header),
    chunk('PLTE', palette),
    chunk('IDAT', deflateSync(Buffer.concat(rows), { level: 9 })),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function chunksOf(png: Buffer): { readonly type: string; readonly data: Buffer }[] {
  const chunks: { type: string; data: Buffer }[] = [];
  for (let at = SIGNATURE.length; at < png.length;) {
    const end = at + 8 + png.readUInt32BE(at);
    chunks.push({ type: png.toString('latin1', at + 4, at + 8), data: png.subarray(at + 8, end) });
    at = end + 4; // behind the checksum
  }
  return chunks;
}

/** https://www.w3.org/TR/png-3/#9Filter-types */
function unfilter(filtered: Buffer, rowLength: number): Buffer {
  const height = filtered.length / (rowLength + 1);
  const pixels = Buffer.alloc(height * rowLength);
  for (let y = 0; y < height; y++) {
    const filter = filtered[y * (rowLength + 1)];
    for (let x = 0; x < rowLength; x++) {
      const at = y * rowLength + x;
      const left = x < CHANNELS ? 0 : (pixels[at - CHANNELS] ?? 0);
      const above = y === 0 ? 0 : (pixels[at - rowLength] ?? 0);
      const corner = x < CHANNELS || y === 0 ? 0 : (pixels[at - rowLength - CHANNELS] ?? 0);
      const predicted =
        [0, left, above, (left + above) >> 1, paeth(left, above, corner)][filter ?? 0] ?? 0;
      pixels[at] = (filtered[at + y + 1] ?? 0) + predicted;
    }
  }
  return pixels;
}

function paeth(left: number, above: number, corner: number): number {
  const estimate = left + above - corner;
  const [toLeft, toAbove, toCorner] = [left, above, corner].map((value) =>
    Math.abs(estimate - value),
  ) as [number, number, number];
  if (toLeft <= toAbove && toLeft <= toCorner) return left;
  return toAbove <= toCorner ? above : corner;
}

/** The colors that are used most, and of each pixel the one that comes nearest. */
function withPalette(pixels: Buffer): { readonly palette: Buffer; readonly indices: Buffer } {
  const counts = new Map<number, number>();
  for (let at = 0; at < pixels.length; at += CHANNELS) {
    const color = pixels.readUIntBE(at, CHANNELS);
    counts.set(color, (counts.get(color) ?? 0) + 1);
  }
  const colors = [...counts]
    .sort(([, a], [, b]) => b - a)
    .slice(0, MAX_COLORS)
    .map(([color]) => color);
  const indexOf = new Map([...counts.keys()].map((color) => [color, nearest(color, colors)]));
  const indices = Buffer.alloc(pixels.length / CHANNELS);
  for (let index = 0; index < indices.length; index++) {
    indices[index] = indexOf.get(pixels.readUIntBE(index * CHANNELS, CHANNELS)) ?? 0;
  }
  const palette = Buffer.alloc(colors.length * CHANNELS);
  for (const [index, color] of colors.entries()) {
    palette.writeUIntBE(color, index * CHANNELS, CHANNELS);
  }
  return { palette, indices };
}

function nearest(color: number, colors: readonly number[]): number {
  const distance = (other: number): number =>
    [16, 8, 0].reduce(
      (sum, bits) => sum + (((color >> bits) & 255) - ((other >> bits) & 255)) ** 2,
      0,
    );
  return colors.reduce(
    (best, other, index) => (distance(other) < distance(colors[best] ?? 0) ? index : best),
    0,
  );
}

function chunk(type: string, data: Buffer): Buffer {
  const framed = Buffer.alloc(data.length + 12);
  framed.writeUInt32BE(data.length, 0);
  framed.write(type, 4, 'latin1');
  data.copy(framed, 8);
  framed.writeUInt32BE(checksum(framed.subarray(4, -4)), data.length + 8);
  return framed;
}

/** CRC-32; Node has its own only since 20.15. */
function checksum(bytes: Buffer): number {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
