import type { Agent } from '../../core/agents/agent.ts';
import * as spans from '../observers/span-tracer.ts';
import type { Settings } from '../settings/settings.ts';
import * as redaction from './agent-values.ts';
import type { AppOptions } from './app-parts.ts';
import type { App } from './app.ts';
import { assembleApp, type NamedAgents } from './assemble-app.ts';
import * as work from './work.ts';

/**
 * Creates an app that serves one or several agents. Each of several is served below the agent
 * route, under its name; the first one also has the agent route itself.
 *
 * Throws a `TypeError` for a name that cannot be part of a path, and for an agent with neither a
 * webhook secret nor a key for Chat Completions, because nobody is served without one. Also throws
 * one for agents that cannot be served together: two tools with the same name, one of which acts
 * once, or two states made from one function. Also throws if the settings name a store or call
 * records but `options` does not have them, because opening them is asynchronous. Throws a
 * `SettingsError` if calls have a maximum cost and one of the models has no price.
 */
export function createApp(
  settings: Settings,
  agent: Agent | NamedAgents,
  options: AppOptions = {},
): App {
  return assembleApp(settings, agent, options, { work, redaction, spans });
}
