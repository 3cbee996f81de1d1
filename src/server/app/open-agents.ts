// The agents that the settings name.

import { messageOf } from '../../base/thrown-values.ts';
import type { Agent } from '../../core/agents/agent.ts';
import { echo } from '../../core/agents/built-in/echo.ts';
import { SettingsError, type Settings } from '../settings/settings.ts';
import type { NamedAgents } from './assemble-app.ts';

/**
 * What `AGENT` or `AGENTS` names, as `dist/server.js` opens it: built-in agents, and modules whose
 * paths are relative to `directory`. Without either it is `starter` if a model has a key or in
 * production, otherwise `echo`. Variables of the file `.env` are copied into `process.env` first.
 * Rejects with a `SettingsError` that lists the problems of all agents if there are several,
 * otherwise with the `AgentError` of the only one.
 */
export async function openAgents(
  settings: Settings,
  directory: string = process.cwd(),
): Promise<Agent | NamedAgents> {
  shareEnvironment(settings);
  const { agent: only, agents } = settings;
  if (agents.length === 0) return openAgent(only ?? await defaultAgent(settings), directory);
  const opened: Record<string, Agent> = {};
  const problems: string[] = [];
  for (const { name, agent } of agents) {
    try {
      opened[name] = await openAgent(agent, directory);
    } catch (error) {
      problems.push(`agent ${name}: ${messageOf(error)}`);
    }
  }
  if (problems.length > 0) throw new SettingsError(problems);
  return opened;
}

/** The code that other agents need to talk to a model is loaded with them, because it is large. */
async function openAgent(nameOrPath: string, directory: string): Promise<Agent> {
  if (nameOrPath === echo.name) return echo;
  const { loadAgent } = await import('./load-agent.ts');
  return loadAgent(nameOrPath, directory);
}

/**
 * `starter` if a model has a key, otherwise `echo`. In production a missing key is an error
 * instead: no caller should hear the echo agent.
 */
async function defaultAgent(settings: Settings): Promise<string> {
  if (settings.production) return 'starter';
  const { hasUsableModel } = await import('./work.ts');
  return hasUsableModel(settings) ? 'starter' : echo.name;
}

/** A user's agent reads its variables from `process.env`; they may come from .env. */
function shareEnvironment({ environment }: Settings): void {
  for (const [name, value] of Object.entries(environment)) process.env[name] ||= value;
}
