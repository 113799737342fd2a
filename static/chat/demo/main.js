// The page's door: every element of it, by name.

import { ChatDemo } from "./elements/chat-demo.js";
import { ChatWindow } from "./elements/chat-window.js";
import { MessageComposer } from "./elements/message-composer.js";
import { MessageLog } from "./elements/message-log.js";
import { ReactionPicker } from "./elements/reaction-picker.js";
import { WindowTabs } from "./elements/window-tabs.js";

// From the inside out: an element finds the ones that it holds ready.
customElements.define("reaction-picker", ReactionPicker);
customElements.define("message-log", MessageLog);
customElements.define("message-composer", MessageComposer);
customElements.define("chat-window", ChatWindow);
customElements.define("window-tabs", WindowTabs);
customElements.define("chat-demo", ChatDemo);
