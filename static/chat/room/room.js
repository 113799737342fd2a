// The door of <chat-room>, a chat window in a page of somebody's project (docs/django-templates.md).

import { ChatWindow } from "../demo/elements/chat-window.js";
import { MessageComposer } from "../demo/elements/message-composer.js";
import { MessageLog } from "../demo/elements/message-log.js";
import { ReactionPicker } from "../demo/elements/reaction-picker.js";
import { ChatRoom } from "./chat-room.js";

// From the inside out: an element finds the ones that it holds ready.
const ELEMENTS = {
  "reaction-picker": ReactionPicker,
  "message-log": MessageLog,
  "message-composer": MessageComposer,
  "chat-window": ChatWindow,
  "chat-room": ChatRoom,
};

for (const [name, element] of Object.entries(ELEMENTS)) {
  if (!customElements.get(name)) customElements.define(name, element); // the module came twice
}
