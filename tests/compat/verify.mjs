// Checks Kassir's golden signatures with the released JavaScript libraries. Usage: verify.mjs VECTORS.json ROTATION.json
import assert from "node:assert";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import path from "node:path";

// Packages are found where the script is run, not where this file is.
const require = createRequire(path.join(process.cwd(), "here.js"));
const libraries = [require("standardwebhooks"), require("svix")];
const [vectors, rotation] = process.argv.slice(2, 4).map((file) => JSON.parse(readFileSync(file, "utf8")));
const rotated = rotation.secrets.filter((secret) => secret.startsWith("whsec_"));
const messages = [
  ...vectors.map((one) => [one, one.secret, one.sig]),
  ...rotated.map((secret) => [rotation, secret, rotation.header]),
];

const clock = Date.now;
let checked = 0;
for (const [message, secret, signature] of messages) {
  const headers = {
    "webhook-id": message.id,
    "webhook-timestamp": String(message.ts),
    "webhook-signature": signature,
  };
  // The libraries refuse old messages.
  Date.now = () => message.ts * 1000;
  for (const { Webhook } of libraries) {
    // They parse the body once the signature fits, and some vectors are not JSON.
    const fits = (body) => {
      try {
        new Webhook(secret).verify(body, headers);
      } catch (error) {
        if (!(error instanceof SyntaxError)) return false;
      }
      return true;
    };
    assert(fits(message.body), `${message.id}: the signature is refused`);
    assert(!fits(`${message.body} `), `${message.id}: another body is accepted`);
    checked += 1;
  }
}
Date.now = clock;
assert(checked > 0);
console.log(`javascript: ${checked} signatures verified, and refused with another body`);
