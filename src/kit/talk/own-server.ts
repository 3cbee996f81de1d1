import type { Settings } from '../../settings/settings.ts';
import { describeLogLine } from '../eval/log-line.ts';
import { newAccess, privateSettings, type Access } from '../eval/stage-settings.ts';
import { oneLine } from '../terminal/text.ts';

/** The server that `talk` starts if it finds none. */
export interface OwnServer extends Access {
  readonly origin: string;
  close(): Promise<void>;
}

/**
 * Starts a server for this process alone: on a free port, with a secret and a key that nobody else
 * knows. `tell` gets a line that describes it, then the warnings and errors of its log.
 */
export async function openOwnServer(
  settings: Settings,
  directory: string,
  tell: (line: string) => void,
): Promise<OwnServer> {
  const { openServer } = await import('../../process/open-server.ts');
  const access = newAccess();
  const own: Settings = {
    ...privateSettings(settings, access), logFormat: 'json', shutdownTimeoutSeconds: 1,
  };
  const early: string[] = [];
  let tellLog = (line: string): unknown => early.push(line);
  const write = (lines: string): void => {
    for (const line of lines.trimEnd().split('\n')) tellLog(describeLogLine(line));
  };
  const { app, origin, agentName } = await openServer(own, { directory, write, isTerminal: false });
  const model = app.model === undefined ? '' : ` and ${oneLine(app.model.name, 200)}`;
  const called = oneLine(app.agents[0]?.name ?? agentName, 80); // of several, the first
  tell(`Talking with the agent "${called}"${model}, on a server of its own.`);
  tellLog = tell;
  early.forEach(tell);
  return { ...access, origin, close: () => app.close() };
}
