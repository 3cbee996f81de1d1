import { join } from 'node:path';
import { describe, it } from 'node:test';

import { WITHOUT_SQLITE } from '../../fixtures/sqlite.ts';
import { assertNowhere } from './said-cards.ts';

describe('card numbers', () => {
  it('occur only in what the caller says and hears', (t) =>
    assertNowhere(t, { store: () => 'memory' }));

  it('cannot be read anywhere else even if processes share them', { skip: WITHOUT_SQLITE }, (t) =>
    assertNowhere(t, {
      store: (folder) => `sqlite:${join(folder, 'calls.db')}`, isShared: true,
    }));
});
