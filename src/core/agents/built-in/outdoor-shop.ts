import type { Json } from '../../../base/json.ts';
import { hangUp } from '../../tools/tool-hang-up.ts';
import { tool } from '../../tools/tool.ts';
import type { Agent } from '../agent.ts';
import { defineAgent } from '../define-agent.ts';
import { readData, readPrompt } from './assets.ts';

interface Product {
  readonly id: string;
  readonly name: string;
  readonly category: string;
  readonly brand: string;
  readonly price_cents: number;
  readonly description: string;
  readonly specifications: { readonly [name: string]: Json };
  readonly stock: readonly { readonly warehouse: string; readonly quantity: number }[];
  readonly [other: string]: Json;
}

interface Order {
  readonly id: string;
  readonly customer: { readonly name: string; readonly email: string };
  readonly [other: string]: Json;
}

interface Shop {
  readonly shop: string;
  readonly policies: readonly { readonly id: string; readonly [other: string]: Json }[];
  readonly orders: readonly Order[];
  readonly products: readonly Product[];
}

const MAX_FOUND = 5;
/** Words that say nothing about a product and occur in half of the descriptions. */
const SMALL_WORDS: ReadonlySet<string> = new Set(
  'and any are can for get have need one some that the this want with you your'.split(' '),
);

/**
 * Customer service for a shop with a catalogue. Whole records go to the browser and the model;
 * only a sentence is spoken.
 */
export function createOutdoorShop(): Agent {
  const { shop, products, orders, policies } = readData<Shop>('outdoor-shop');
  const categories = [...new Set(products.map(({ category }) => category))];

  const searchProducts = tool({
    name: 'search_products',
    repeatable: true,
    tellBrowser: 'everything',
    description: `Finds products, at most ${MAX_FOUND}, the best match first. Prices are in cents; stock is by warehouse.`,
    parameters: {
      type: 'object',
      properties: {
        query: { type: 'string', maxLength: 200, description: 'Words the caller used.' },
        category: { type: 'string', enum: categories },
        max_price_cents: { type: 'integer', minimum: 0 },
        in_stock: { type: 'boolean' },
      },
      additionalProperties: false,
    },
    run: ({ query = '', category, max_price_cents: maxPrice, in_stock: inStock }) => {
      const words = fold(query)
        .split(' ')
        .filter((word) => word.length > 2 && !SMALL_WORDS.has(word));
      const found = products
        .filter((product) => category === undefined || product.category === category)
        .filter((product) => maxPrice === undefined || product.price_cents <= maxPrice)
        .filter((product) => inStock !== true || product.stock.some(({ quantity }) => quantity > 0))
        .map((product) => ({ product, score: score(product, words) }))
        .filter(({ score }) => score > 0 || query.trim() === '')
        .sort((a, b) => b.score - a.score);
      return {
        found: found.length,
        products: found.slice(0, MAX_FOUND).map(({ product }) => product),
      };
    },
  });

  const lookupOrder = tool({
    name: 'lookup_order',
    repeatable: true,
    tellBrowser: 'everything',
    description:
      'An order, by its number and the surname or e-mail address on it. Both are needed.',
    parameters: {
      type: 'object',
      properties: {
        order_number: { type: 'string', maxLength: 40, description: 'Such as TR-10482.' },
        surname_or_email: { type: 'string', minLength: 2, maxLength: 120 },
      },
      required: ['order_number', 'surname_or_email'],
      additionalProperties: false,
    },
    run: ({ order_number: number, surname_or_email: claim }) => {
      const digits = number.replace(/\D/g, '');
      const order = orders.find(({ id }) => id.replace(/\D/g, '') === digits);
      // The same answer for an unknown number and for somebody else's order, so that nobody can
      // find out which orders exist.
      if (order === undefined || !belongsTo(order, claim))
        throw new Error('no order has that number and that surname or e-mail address');
      return order;
    },
  });

  const getPolicy = tool({
    name: 'get_policy',
    repeatable: true,
    tellBrowser: 'everything',
    description: 'What the shop promises: its rules in full. Promise nothing beyond them.',
    parameters: {
      type: 'object',
      properties: { topic: { type: 'string', enum: policies.map(({ id }) => id) } },
      required: ['topic'],
      additionalProperties: false,
    },
    run: ({ topic }) => policies.find(({ id }) => id === topic),
  });

  return defineAgent({
    name: 'outdoor_shop',
    description: `${shop}: products, orders and policies.`,
    welcome: `Hello, this is ${shop}. What can I do for you?`,
    prompt: readPrompt('outdoor-shop'),
    tools: [searchProducts, lookupOrder, getPolicy, hangUp],
  });
}

/**
 * Letters and digits only, without accents or case, because transcripts vary in everything else.
 */
function fold(text: string): string {
  return text
    .normalize('NFD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, ' ')
    .trim();
}

function score(product: Product, words: readonly string[]): number {
  const name = fold(product.name);
  const kind = fold(`${product.category} ${product.brand}`);
  const rest = fold(`${product.description} ${JSON.stringify(product.specifications)}`);
  let points = 0;
  for (const word of words) {
    const stem = word.replace(/s$/, '');
    points += name.includes(stem) ? 4 : kind.includes(stem) ? 3 : rest.includes(stem) ? 1 : 0;
  }
  return points;
}

function belongsTo({ customer }: Order, claim: string): boolean {
  if (claim.includes('@')) return claim.trim().toLowerCase() === customer.email.toLowerCase();
  const join = (text: string): string => fold(text).replaceAll(' ', '');
  const claimed = join(claim);
  const names = customer.name.split(' ').slice(1).join(' ');
  return claimed !== '' && (claimed === join(names) || claimed === join(customer.name));
}
