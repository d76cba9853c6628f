// Answers each line of standard input, the base64 of a JSON text's bytes, with the base64 of what
// JSON.stringify makes of what JSON.parse reads, or with "error" when it reads nothing.
const lines = require('node:readline').createInterface({ input: process.stdin });

lines.on('line', (line) => {
  const text = Buffer.from(line, 'base64').toString('utf8').replace(/^\ufeff/, '');
  let answer = 'error';
  try {
    answer = Buffer.from(JSON.stringify(JSON.parse(text)), 'utf8').toString('base64');
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  process.stdout.write(answer + '\n');
});
