/** Which element beside this one, in its document or shadow tree, has the focus; if any. */
export const focusNear = (node) => node.getRootNode().activeElement;
