import { add, addTurn, findTurn, subtract, type Conversation } from './conversation.ts';
import { withKnownResults } from './tool-call-rules.ts';
import { forgetRun, messagesOf, setMessages, type TurnRecord } from './turn-record.ts';

/**
 * Takes over turns that this process has kept while it could not write them, into a conversation
 * that others may have changed since. By their ids, so that doing it twice changes nothing:
 *
 * - a turn that the conversation does not have is added at the end;
 * - of one run, what this process kept is newer, unless somebody has decided by now what was heard;
 * - of two runs of one turn, the one that was completed stays, else the one that is there;
 * - the true result of a tool call is never lost.
 */
export function mergeTurns(conversation: Conversation, kept: readonly TurnRecord[]): void {
  for (const ours of kept) {
    const theirs = findTurn(conversation, ours.id);
    if (theirs === undefined) {
      addTurn(conversation, ours);
      if (ours.state === 'open') conversation.openTurns += 1;
      add(conversation, ours);
    } else if (isNewer(ours, theirs)) replace(conversation, theirs, ours);
    else keepResults(conversation, theirs, ours);
  }
}

function isNewer(ours: TurnRecord, theirs: TurnRecord): boolean {
  if (ours.runId === theirs.runId) return theirs.state === 'open' || theirs.isUnknown === true;
  return ours.state === 'completed' && theirs.state !== 'completed';
}

function replace(conversation: Conversation, theirs: TurnRecord, ours: TurnRecord): void {
  const messages = withKnownResults(theirs, messagesOf(ours));
  const { state, runId, kept, filler, sent, isUnknown } = ours;
  subtract(conversation, theirs);
  conversation.openTurns += Number(state === 'open') - Number(theirs.state === 'open');
  theirs.state = state;
  theirs.runId = runId;
  forgetRun(theirs);
  setMessages(theirs, messages, kept);
  if (filler !== undefined) theirs.filler = filler;
  if (sent !== undefined) theirs.sent = sent;
  if (isUnknown !== undefined) theirs.isUnknown = isUnknown;
  add(conversation, theirs);
}

function keepResults(conversation: Conversation, theirs: TurnRecord, ours: TurnRecord): void {
  if (theirs.messages === undefined || ours.messages === undefined) return;
  subtract(conversation, theirs);
  setMessages(theirs, withKnownResults(ours, messagesOf(theirs)), theirs.kept);
  add(conversation, theirs);
}
