import { element } from './element.js';

/**
 * Shows which agent answers, with which model, and what the server's `/ready` says is wrong.
 *
 * @param {object} places
 * @param {HTMLElement} places.agent
 * @param {HTMLElement} places.model
 * @param {HTMLElement} places.warnings a list
 * @returns {Promise<{ readonly name: string, readonly hasModel: boolean }>} the agent
 */
export async function showAgent({ agent, model, warnings }) {
  const { name, modelName, hasModel, lines } = await askReady();
  agent.textContent = name;
  model.textContent = modelName;
  warnings.replaceChildren(...lines.map((line) => element('li', {}, line)));
  warnings.hidden = lines.length === 0;
  return { name, hasModel };
}

async function askReady() {
  try {
    const response = await fetch('/ready');
    const { ready, agent, model, warnings = [], reasons = [] } = await response.json();
    return {
      name: String(agent),
      modelName: model === null ? 'no model' : String(model),
      hasModel: model !== null,
      lines: [
        ...reasons.map((/** @type {string} */ reason) => `Not ready: ${reason}`),
        ...warnings.map((/** @type {string} */ warning) => `Warning: ${warning}`),
        ...(ready === true || reasons.length > 0 ? [] : ['The server takes no calls now.']),
      ],
    };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return {
      name: 'unknown agent',
      modelName: '',
      hasModel: true,
      lines: [`The server does not answer at /ready: ${why}`],
    };
  }
}
