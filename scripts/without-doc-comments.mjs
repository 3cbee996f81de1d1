/** A comment that has its lines for itself. */
const DOC_COMMENT = /^[ \t]*\/\*\*.*?\*\/[ \t]*$/gms;

/**
 * The source with empty lines for its doc comments. esbuild keeps those inside of classes, and they
 * were a twelfth of what each start reads. Declarations have them anyway.
 */
export function withoutDocComments(source) {
  return source.replace(DOC_COMMENT, (comment) => comment.replace(/[^\n]/g, ''));
}
