// Whether a text is nothing but a few emoji. Pure.

const MOST = 6; // more of them are a text

// No two ways to read one character: a hostile text must not be tried in all of their combinations.
const PICTURE =
  "(?:(?!\\p{RI})\\p{Emoji_Presentation}" +
  "|(?!\\p{Emoji_Presentation})\\p{Extended_Pictographic}(?=\\uFE0F|\\p{EMod}|\\u200D))" +
  "(?:\\uFE0F|\\p{EMod})?[\\u{E0020}-\\u{E007F}]*";
const ONE = `(?:\\p{RI}{2}|[0-9#*]\\uFE0F?\\u20E3|${PICTURE}(?:\\u200D${PICTURE})*)`;
const FEW = new RegExp(`^${ONE}(?: ?${ONE}){0,${MOST - 1}}$`, "u");
const LONGEST = MOST * 40; // UTF-16 units: flags of regions and families are the longest emoji

export const isEmojiOnly = (text) => text.length <= LONGEST && FEW.test(text);
