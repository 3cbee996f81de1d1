// The playground's voice: what is spoken, and what is heard.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { launchChromium } from './chromium.ts';
import { FakeVoice } from './fake-voice.ts';
import { LONG, openPlayground, type Playground } from './playground-stage.ts';

/** A reply of which some was heard, or nothing: that depends on timing. */
const STRUCK = /^Agent: .*~.+~ <interrupted, (?:the rest was not|nothing was) heard>$/;

const browser = await launchChromium();

async function open(t: TestContext): Promise<{ page: Playground; voice: FakeVoice }> {
  const page = await openPlayground(t, browser);
  return { page, voice: await FakeVoice.install(page.tab) };
}

describe('in the playground,', () => {
  describe('the voice interface', () => {
    it('speaks a reply sentence by sentence while it is streaming', async (t) => {
      const { page, voice } = await open(t);
      const asked = await page.asks('Hello');
      asked.say('One is here. Tw');
      await voice.speaks(1);
      asked.say('o comes. And three');
      await voice.speaks(2);
      asked.say(' too').end();
      await page.shows('transcript', ['Agent: One is here. Two comes. And three too']);
      assert.deepEqual(
        (await voice.spoken()).map((sentence) => sentence.trim()),
        ['One is here.', 'Two comes.', 'And three too'],
      );
    });

    it('has finished before the platform is told that the reply was heard', async (t) => {
      const { page, voice } = await open(t);
      const asked = await page.asks('When?');
      asked.say(`Soon. ${LONG}`).end();
      await page.shows('turns', ['2 When?: completed']);
      assert.equal(await page.text('#activity'), 'The agent is speaking');
      await voice.endSentence();
      assert.deepEqual(await voice.sent('trigger.response.audio.replay_finished'), []);
      await voice.endSentence();
      assert.deepEqual(await voice.sent('trigger.response.audio.replay_finished'), [
        {
          type: 'trigger.response.audio.replay_finished',
          reason: 'completed',
          turn_id: asked.event['turn_id'],
        },
      ]);
      await page.becomes('#activity', '');
      assert.equal((await page.asks('Thanks')).interruption, undefined);
    });

    const ways: readonly (readonly [
      what: string,
      interrupt: (page: Playground, voice: FakeVoice) => Promise<void>,
    ])[] = [
      ['the caller types', (page) => page.say('Stop!')],
      ['the caller strikes Escape', (page) => page.strike('Escape')],
      [
        'the microphone hears the caller begin to speak',
        async (page, voice) => {
          await page.press('microphone');
          await voice.beginSpeech();
        },
      ],
    ];
    for (const [what, interrupt] of ways) {
      it(`falls silent when ${what}, and the rest counts as unheard`, async (t) => {
        const { page, voice } = await open(t);
        const asked = await page.asks('When?');
        asked.say(LONG).end();
        await page.shows('turns', ['2 When?: completed']);
        await interrupt(page, voice);
        await voice.fallsSilent();
        if (page.asked.length === 1) await page.say('Stop!');
        const next = await page.nextAsked();
        assert.equal(next.interruption?.['assistant_turn_id'], asked.event['turn_id']);
        next.end();
        await page.shows('transcript', [STRUCK, 'You: Stop!', 'Agent:  <said nothing>']);
        assert.deepEqual(
          (await voice.sent('trigger.response.audio.replay_finished')).map(
            ({ turn_id }) => turn_id,
          ),
          [next.event['turn_id']],
        );
      });
    }

    it('does not go on with a reply that the caller spoke over', async (t) => {
      const { page, voice } = await open(t);
      const asked = await page.asks('When?');
      asked.say('Soon. It');
      await voice.speaks(1);
      await page.press('microphone');
      await voice.beginSpeech();
      await asked.aborted();
      await page.shows('transcript', ['Agent: Soon. It <interrupted>']);
      assert.deepEqual([await voice.spoken(), await voice.unspoken()], [['Soon. '], []]);
    });

    it('shows interim words of the caller, and sends the final ones', async (t) => {
      const { page, voice } = await open(t);
      await page.press('microphone');
      await page.becomes('#activity', 'Listening…');
      await page.tab.waitForSelector('#microphone[aria-pressed=true]');
      await voice.beginSpeech();
      await voice.recognize('good mor', { isFinal: false });
      await page.becomes('#activity', 'Hearing: good mor');
      assert.equal(page.asked.length, 0);
      await voice.recognize(' Good morning ', { isFinal: true });
      assert.equal((await page.nextAsked()).text, 'Good morning');
      await page.shows('transcript', ['Agent: Hi!', 'You: Good morning']);
      await page.press('microphone');
      await page.tab.waitForSelector('#microphone[aria-pressed=false]');
    });

    it('says why nothing is heard', async (t) => {
      const { page, voice } = await open(t);
      await page.press('microphone');
      await voice.deafen('not-allowed');
      await page.shows('transcript', [
        'bad notice: The browser may not use the microphone: allow it in the address bar.',
      ]);
      await page.tab.waitForSelector('#microphone[aria-pressed=false]');
    });

    it('can be switched off in mid-sentence, which then counts as heard', async (t) => {
      const { page, voice } = await open(t);
      await page.exchange('One', 'Yes.');
      assert.deepEqual(await voice.unspoken(), ['Yes.']);
      await page.press('speak-replies');
      assert.deepEqual(await voice.unspoken(), []);
      assert.equal((await voice.sent('trigger.response.audio.replay_finished')).length, 1);
      await page.exchange('Two', 'No.');
      assert.deepEqual(await voice.spoken(), ['Yes.']);
    });

    it('leaves the conversation alone if it fails', async (t) => {
      const { page, voice } = await open(t);
      await page.exchange('One', 'Yes.');
      await voice.endSentence('error');
      await page.becomes('#activity', '');
      assert.equal((await voice.sent('trigger.response.audio.replay_finished')).length, 1);
    });

    it('finishes the goodbye after the agent has hung up', async (t) => {
      const { page, voice } = await open(t);
      (await page.asks('Bye')).hangUp('Goodbye!');
      await page.becomes('#connection', 'closed');
      assert.deepEqual(await voice.unspoken(), ['Goodbye!']);
      assert.equal(await page.text('#activity'), 'The agent is speaking');
      await voice.endSentence();
      await page.becomes('#activity', '');
    });

    it('is reported as missing if the browser has no voice', async (t) => {
      const page = await openPlayground(t, browser);
      assert.equal(await page.text('#voice-note'), 'This browser has no voice.');
      await page.tab.waitForSelector('#speak-replies:disabled');
      await FakeVoice.install(page.tab);
      await page.tab.waitForSelector('#speak-replies:enabled');
      assert.equal(await page.isDisplayed('#voice-note'), false);
    });

    it('is reported as unable to hear if the browser cannot recognise speech', async (t) => {
      const page = await openPlayground(t, browser, {
        script: 'delete globalThis.SpeechRecognition; delete globalThis.webkitSpeechRecognition;',
      });
      assert.equal(await page.isDisplayed('#microphone'), false);
      assert.equal(
        await page.text('#microphone-note'),
        'This browser has no speech recognition: type instead.',
      );
    });
  });
});
