import { cutText } from './cut-text.js';
import { element } from './element.js';

const MAX_ENTRIES = 200;
/** For one reply, in UTF-16 code units. */
const MAX_TEXT_LENGTH = 20_000;
const MAX_NOTICE_LENGTH = 500;
const MAX_ANNOUNCEMENTS = 10;

/** @typedef {'streaming' | 'completed' | 'interrupted' | 'failed'} ReplyState */
/**
 * @typedef {object} Reply
 * @property {string} turnId
 * @property {HTMLElement} entry
 * @property {HTMLElement} speaker
 * @property {HTMLElement} words
 * @property {HTMLElement} mark
 * @property {string} text
 * @property {ReplyState} state
 */

/** Shows what was said and what became of it. A reply is announced when it ends, not per delta. */
export class Transcript {
  #list;
  #announcer;
  /** @type {Reply[]} Those shown, oldest first. */
  #replies = [];

  /**
   * @param {HTMLElement} list
   * @param {HTMLElement} announcer a live region
   */
  constructor(list, announcer) {
    this.#list = list;
    this.#announcer = announcer;
  }

  clear() {
    this.#list.replaceChildren();
    this.#replies = [];
  }

  /** @param {string} turnId @param {string} text */
  addCaller(turnId, text) {
    const words = element('p', { 'data-text': '' }, cutText(text, MAX_TEXT_LENGTH));
    this.#add(
      element(
        'div',
        { 'data-role': 'user', 'data-turn-id': turnId },
        element('span', { class: 'speaker' }, 'You'),
        words,
      ),
    );
  }

  /**
   * @param {string} text
   * @param {'plain' | 'good' | 'bad'} [kind] `good`: the server did what it should
   */
  addNotice(text, kind = 'plain') {
    const shown = cutText(text, MAX_NOTICE_LENGTH);
    this.#add(
      element(
        'div',
        { 'data-role': 'notice', 'data-kind': kind },
        element('p', { 'data-text': '' }, shown),
      ),
    );
    this.#announce(shown);
  }

  /** @param {string} turnId */
  beginReply(turnId) {
    const words = element('p', { 'data-text': '' });
    const mark = element('span', { class: 'mark' });
    const speaker = element('span', { class: 'speaker' }, 'Agent');
    const entry = element(
      'div',
      { 'data-role': 'assistant', 'data-turn-id': turnId },
      speaker,
      words,
      mark,
    );
    /** @type {Reply} */
    const reply = { turnId, entry, speaker, words, mark, text: '', state: 'streaming' };
    this.#replies.push(reply);
    settle(reply, 'streaming', '');
    this.#add(entry);
  }

  /** @param {string} turnId @param {string} delta */
  append(turnId, delta) {
    const reply = this.#find(turnId);
    if (reply === undefined) return;
    reply.words.append(delta.slice(0, Math.max(0, MAX_TEXT_LENGTH - reply.text.length)));
    reply.text += delta;
  }

  /**
   * The complete text of the reply, which replaces its pieces.
   *
   * @param {string} turnId
   * @param {string} text
   */
  replaceText(turnId, text) {
    const reply = this.#find(turnId);
    if (reply === undefined) return;
    reply.text = text;
    reply.words.replaceChildren(cutText(text, MAX_TEXT_LENGTH));
  }

  /**
   * Names the agents that spoke, if the conversation has been handed over.
   *
   * @param {string} turnId
   * @param {readonly string[]} names in the order in which they spoke
   */
  nameSpeakers(turnId, names) {
    const reply = this.#find(turnId);
    if (reply !== undefined) reply.speaker.textContent = names.join(' → ');
  }

  /** @param {string} turnId */
  completeReply(turnId) {
    const reply = this.#find(turnId);
    if (reply?.state !== 'streaming') return;
    settle(reply, 'completed', reply.text === '' ? 'said nothing' : '');
    this.#announce(`Agent: ${reply.text}`);
  }

  /**
   * The reply ended before it was complete. Does nothing if it is already over.
   *
   * @param {string} [turnId] default the last reply's
   * @returns {boolean} whether it was streaming
   */
  interruptReply(turnId) {
    const reply = this.#find(turnId);
    if (reply?.state !== 'streaming') return false;
    settle(reply, 'interrupted', 'interrupted');
    this.#announce(`Agent, interrupted: ${reply.text}`);
    return true;
  }

  /** @param {string} turnId */
  failReply(turnId) {
    const reply = this.#find(turnId);
    if (reply !== undefined) settle(reply, 'failed', 'failed');
  }

  /**
   * Separates what was heard of a reply from the rest.
   *
   * @param {string | undefined} turnId default the last reply's
   * @param {string | undefined} heard undefined if unknown
   */
  cutReply(turnId, heard) {
    const reply = this.#find(turnId);
    if (reply === undefined) return;
    const end = heard === undefined ? undefined : endOfHeard(reply.text, heard);
    if (end === undefined) {
      const what =
        heard === undefined
          ? 'and it is not known what was heard'
          : `heard: “${cutText(heard, MAX_NOTICE_LENGTH)}”`;
      return settle(reply, 'interrupted', `interrupted, ${what}`);
    }
    const rest = cutText(reply.text.slice(end), MAX_TEXT_LENGTH);
    const unheard = element(
      's',
      { class: 'unheard', title: 'not heard' },
      element('span', { class: 'sr-only' }, ' (not heard:) '),
      rest,
    );
    reply.words.replaceChildren(
      cutText(reply.text.slice(0, end), MAX_TEXT_LENGTH),
      ...(rest === '' ? [] : [unheard]),
    );
    if (rest === '') settle(reply, 'interrupted', 'interrupted, all of this was heard');
    else
      settle(
        reply,
        'interrupted',
        end === 0 ? 'interrupted, nothing was heard' : 'interrupted, the rest was not heard',
      );
  }

  /**
   * The newest reply of the turn; a turn that is run again has two.
   *
   * @param {string} [turnId] default the last reply's
   */
  #find(turnId) {
    return this.#replies.findLast((reply) => turnId === undefined || reply.turnId === turnId);
  }

  /** @param {HTMLElement} entry */
  #add(entry) {
    this.#list.append(entry);
    if (this.#list.childElementCount > MAX_ENTRIES) this.#list.firstElementChild?.remove();
    if (this.#replies[0]?.entry.isConnected === false) this.#replies.shift();
  }

  /** @param {string} text */
  #announce(text) {
    this.#announcer.append(element('p', {}, cutText(text, MAX_TEXT_LENGTH)));
    if (this.#announcer.childElementCount > MAX_ANNOUNCEMENTS) {
      this.#announcer.firstElementChild?.remove();
    }
  }
}

/** @param {Reply} reply @param {ReplyState} state @param {string} mark */
function settle(reply, state, mark) {
  reply.state = state;
  reply.entry.dataset['state'] = state;
  reply.mark.textContent = mark;
}

/**
 * Where the heard part of a text ends, including the white space after it; undefined if the text
 * does not begin with that part. White space is not compared: a platform that counts words does not
 * keep it.
 *
 * @param {string} text
 * @param {string} heard
 */
function endOfHeard(text, heard) {
  let end = 0;
  const skipSpace = () => {
    while (/\s/.test(text.charAt(end))) end++;
  };
  for (const character of heard.replace(/\s+/g, '')) {
    skipSpace();
    if (!text.startsWith(character, end)) return undefined;
    end += character.length;
  }
  if (end > 0) skipSpace();
  return end;
}
