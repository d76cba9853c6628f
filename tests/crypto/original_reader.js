// Reads as the original client does (PROTOCOL.md sections 9 and 10, without parsing content), by
// JavaScript's own primitives. Standard input: a JSON array of {secretKeyHex, referencePointHex,
// encryptedContentHex}. Standard output: a JSON array of the texts.
const crypto = require('node:crypto');

const PRIME = 2n ** 255n - 19n;
const X25519_PRIVATE = Buffer.from('302e020100300506032b656e04220420', 'hex');
const X25519_PUBLIC = Buffer.from('302a300506032b656e032100', 'hex');

const sha512 = (data) => crypto.createHash('sha512').update(data).digest();
const fromLittleEndian = (bytes) => BigInt('0x' + Buffer.from(bytes).reverse().toString('hex'));
const toLittleEndian = (number) =>
  Buffer.from(number.toString(16).padStart(64, '0'), 'hex').reverse();

function power(base, exponent) {
  let result = 1n;
  for (; exponent > 0n; exponent >>= 1n, base = (base * base) % PRIME) {
    if (exponent & 1n) result = (result * base) % PRIME;
  }
  return result;
}

function montgomery(pointHex) {
  const y = fromLittleEndian(Buffer.from(pointHex, 'hex')) % 2n ** 255n;
  return toLittleEndian(((1n + y) * power((1n - y + PRIME) % PRIME, PRIME - 2n)) % PRIME);
}

function agree(secretKeyHex, pointHex) {
  const scalar = sha512(Buffer.from(secretKeyHex, 'hex')).subarray(0, 32);
  const der = (prefix, key, type) => ({ key: Buffer.concat([prefix, key]), format: 'der', type });
  return crypto.diffieHellman({
    privateKey: crypto.createPrivateKey(der(X25519_PRIVATE, scalar, 'pkcs8')),
    publicKey: crypto.createPublicKey(der(X25519_PUBLIC, montgomery(pointHex), 'spki')),
  });
}

function decrypt(secretKeyHex, box) {
  const k = sha512(agree(secretKeyHex, box.referencePointHex));
  const cipher = crypto.createDecipheriv('aes-256-cbc', k.subarray(16, 48), k.subarray(0, 16));
  const content = Buffer.from(box.encryptedContentHex, 'hex');
  const salted = Buffer.concat([cipher.update(content), cipher.final()]).toString('utf8');
  return salted.slice(salted.indexOf('\0') + 1);
}

function read(answer) {
  const text = decrypt(answer.secretKeyHex, answer);
  let inner;
  try {
    inner = JSON.parse(text);
  } catch {
    return text;
  }
  return inner?.encryptedContentHex ? decrypt(answer.secretKeyHex, inner) : text;
}

const answers = JSON.parse(require('node:fs').readFileSync(0, 'utf8'));
process.stdout.write(JSON.stringify(answers.map(read)));
