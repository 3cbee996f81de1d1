// Words that say what a number is, in English, German, French, Spanish and Italian.

import { anyWordOf } from './finder.ts';

/** Said about a phone number. */
const PHONE = anyWordOf(`
  number nummer nr num[eé]ro n[uú]mero phone telephone tel tél mobile cell cellphone landline call
  calling called ring reach text sms whatsapp dial contact fax voicemail area_code
  telefo\\p{L}* tele[fp]h?on[eo] teléfono téléphone handy\\p{L}* mobil\\p{L}* durchwahl anruf\\p{L}*
  rufen zurückruf\\p{L}* erreich\\p{L}* portable r?appel\\p{L}* joindre móvil celular llam\\p{L}*
  ll[aá]me\\p{L}* cellulare chiam\\p{L}* richiam\\p{L}* recapito
`);
/** Ends in German words such as "Bestellnummer", which are not about a phone. */
const PHONE_NUMMER = String.raw`\p{L}*(?:tele[fp]h?o+n|handy|mobil|ruf|fax|service)-?nummer`;
/** Said before "number" when it may be a telephone number. */
const OF_PHONE = anyWordOf(`
  phone telephone mobile cell contact home work office business fax callback direct daytime hotline
  service support emergency private personal local free new old best right current correct following
  other another my his her their our your the a whose this that what which s
`);
/** Said about other numbers. */
const OTHER = anyWordOf(`
  code order orders invoice reference ref ticket tracking account customer policy serial article item
  isbn ean model booking confirmation reservation case id contract batch lot member membership
  loyalty passport version lottery insurance parcel claim meter tax vat registration barcode sku
  package shipment waybill receipt quote licen[cs]e voucher warranty
  bestell\\p{L}* auftr[aä]g\\p{L}* rechnung\\p{L}* sendung\\p{L}* paket\\p{L}* lieferschein\\p{L}*
  kunden-?(?:nr|nummer|konto) vorgang\\p{L}* aktenzeichen artikel\\p{L}* buchung\\p{L}* vertrag\\p{L}*
  reservierung\\p{L}* zähler\\p{L}* konto\\p{L}* referenz\\p{L}*
  angebot police mandat\\p{L}* beleg quittung gutschein
  commandes? factures? suivi colis num[eé]ro_(?:de_)?client dossier référence réservation contrat
  devis compteur compte abonnement série bon_de_livraison reçu garantie
  pedidos? factura seguimiento envío paquete (?:número|código)_de_cliente expediente referencia
  reserva contrato contador artículo cuenta serie albarán recibo garantía póliza
  ordin[ei] fattura spedizione pacco codice (?:numero_|codice_)cliente pratica riferimento
  prenotazione contratto contatore articolo tessera tracciamento conto ricevuta partita_iva garanzia polizza
`);
const WORDS = new RegExp(
  String.raw`(?<!\p{L})(?:(?:${PHONE_NUMMER}|area code|(?<other>(?:${OTHER}`
  + String.raw`|(?<!['\u2019])(?!${OF_PHONE} )[a-z]+(?= numbers?(?!\p{L}))|\p{L}+-?nummer)`
  + String.raw`(?:[ -](?:numbers?|nummer|nr))?)|${PHONE})(?!\p{L}))`,
  'giu',
);
/** Where a sentence ends. Not in "No. 5" or "Bestell-Nr. 5". */
const SENTENCE_END = /(?<!\bno|nr|num|núm|\bref)[.!?]/gi;
/** `[code 1]`, which is not a word about the next number, also if its beginning was cut off. */
const PLACEHOLDERS = /(?:\[|^)[a-z-]* ?[a-z\d]+\]/g;

/**
 * What the nearest word before a number says that it is. A word about other numbers counts only in
 * the same sentence.
 */
export function meaningAfter(before: string): 'phone' | 'other' | undefined {
  const text = before.replaceAll(PLACEHOLDERS, '\u00b7');
  const ends = [...text.matchAll(SENTENCE_END)].at(-1)?.index ?? -1;
  let meaning: 'phone' | 'other' | undefined;
  for (const { index, groups } of text.matchAll(WORDS)) {
    if (groups?.['other'] === undefined) meaning = 'phone';
    else if (index > ends) meaning = 'other';
  }
  return meaning;
}

/** Whether a text has a word that is said about a phone number. */
export function hasPhoneWord(text: string): boolean {
  return PHONE_WORD.test(text);
}

const PHONE_WORD = new RegExp(String.raw`(?<!\p{L})(?:${PHONE_NUMMER}|${PHONE})(?!\p{L})`, 'iu');
