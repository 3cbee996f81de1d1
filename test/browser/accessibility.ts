// What a page is to a screen reader. Ruled by https://chromedevtools.github.io/devtools-protocol/tot/Accessibility/

/** What a screen reader is told of. */
export interface AccessibleNode {
  readonly role: string;
  readonly name: string;
  /** 0 is the page. A node's children stand behind it, one deeper. */
  readonly depth: number;
  /** As Chromium names them: `focused`, `disabled`, `expanded`, `checked`, `live`, `level`, … */
  readonly properties: Readonly<Record<string, unknown>>;
}

export interface DevtoolsNode {
  readonly nodeId: string;
  readonly parentId?: string;
  readonly childIds?: readonly string[];
  readonly ignored: boolean;
  readonly role?: { readonly value?: string };
  readonly name?: { readonly value?: string };
  readonly properties?: readonly {
    readonly name: string;
    readonly value: { readonly value?: unknown };
  }[];
}

/**
 * DevTools sends them level by level, with nodes in between that a screen reader never hears of.
 */
export function inDocumentOrder(nodes: readonly DevtoolsNode[]): AccessibleNode[] {
  const byId = new Map(nodes.map((node) => [node.nodeId, node]));
  const ordered: AccessibleNode[] = [];
  const visit = (node: DevtoolsNode, depth: number): void => {
    const role = node.role?.value ?? '';
    // The lines that a text is broken into, which the text itself repeats.
    if (role === 'InlineTextBox') return;
    if (!node.ignored) {
      const properties = Object.fromEntries(
        (node.properties ?? []).map(({ name, value }) => [name, value.value]),
      );
      ordered.push({ role, name: node.name?.value ?? '', depth, properties });
    }
    for (const id of node.childIds ?? []) {
      const child = byId.get(id);
      if (child !== undefined) visit(child, node.ignored ? depth : depth + 1);
    }
  };
  for (const node of nodes) if (node.parentId === undefined) visit(node, 0);
  return ordered;
}
