// Reads claims of tokens from stdin, a JSON array; says of each the sentences of the page.

import { text } from "node:stream/consumers";
import { readToken } from "../../../static/chat/demo/model/inside-token.js";

const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
const tokenOf = (claims) => `${part({ alg: "HS256" })}.${part(claims)}.signature`;
const all = JSON.parse(await text(process.stdin));
process.stdout.write(JSON.stringify(all.map((claims) => readToken(tokenOf(claims)).items)));
