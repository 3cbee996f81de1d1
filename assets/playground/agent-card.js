import { element } from './element.js';

/**
 * Shows which agent answers, with which model, and what the server's `/ready` says is wrong. If
 * there are several agents, one can be chosen.
 *
 * @param {object} places
 * @param {HTMLElement} places.agent
 * @param {HTMLSelectElement} places.choice instead of `agent`, if there are several
 * @param {HTMLElement} places.model
 * @param {HTMLElement} places.warnings a list
 * @returns {Promise<{ readonly name: string, readonly hasModel: boolean }>} the agent
 */
export async function showAgent({ agent, choice, model, warnings }) {
  const { agents, lines } = await askReady();
  const chosen = agents.find(({ name }) => name === choice.value) ?? agents[0] ?? UNKNOWN;
  if (agents.length > 0) {
    const options = agents.map(({ name }) => element('option', { value: name }, name));
    choice.replaceChildren(...options);
    choice.value = chosen.name;
    choice.hidden = agents.length === 1;
  }
  agent.hidden = !choice.hidden;
  agent.textContent = chosen.name;
  model.textContent = chosen.modelName;
  warnings.replaceChildren(...lines.map((line) => element('li', {}, line)));
  warnings.hidden = lines.length === 0;
  return chosen;
}

const UNKNOWN = { name: 'unknown agent', modelName: '', hasModel: true };

/** No agents if the server does not answer. @returns {Promise<{ agents: (typeof UNKNOWN)[], lines: string[] }>} */
async function askReady() {
  try {
    const response = await fetch('/ready');
    const answer = await response.json();
    const { ready, agents = [answer], warnings = [], reasons = [] } = answer;
    return {
      agents: agents.map(shown),
      lines: [
        ...reasons.map((/** @type {string} */ reason) => `Not ready: ${reason}`),
        ...warnings.map((/** @type {string} */ warning) => `Warning: ${warning}`),
        ...(ready === true || reasons.length > 0 ? [] : ['The server is not taking calls.']),
      ],
    };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return { agents: [], lines: [`The server does not answer at /ready: ${why}`] };
  }
}

/** @param {{ readonly agent: unknown, readonly model: unknown }} answer @returns {typeof UNKNOWN} */
function shown({ agent, model }) {
  return {
    name: String(agent),
    modelName: model === null ? 'no model' : String(model),
    hasModel: model !== null,
  };
}
