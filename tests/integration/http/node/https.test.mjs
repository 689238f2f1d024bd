// The official client over HTTPS: NODE_EXTRA_CA_CERTS names who signed the gateway's certificate.
// SPEARFISH_HTTP is its HOST:PORT, SPEARFISH_EXPECTED what gRPC answered to the same prompt.
import assert from 'node:assert/strict';
import https from 'node:https';
import test from 'node:test';
import OpenAI from 'openai';

const client = new OpenAI({
  baseURL: `https://${process.env.SPEARFISH_HTTP}/v1`,
  apiKey: 'any',
  maxRetries: 0,
});
const request = { model: 'qwen3-moe-3m', prompt: 'In the beginning', max_tokens: 24, temperature: 0 };

async function streamed(stream) {
  let text = '';
  for await (const chunk of stream) text += chunk.choices[0].text;
  return text;
}

test('whole and streamed completions, one after the other and at once', async () => {
  for (let i = 0; i < 3; ++i) {
    const { choices } = await client.completions.create(request);
    assert.equal(choices[0].text, process.env.SPEARFISH_EXPECTED);
    const stream = await client.completions.create({ ...request, stream: true });
    assert.equal(await streamed(stream), process.env.SPEARFISH_EXPECTED);
  }
  const texts = await Promise.all(Array.from({ length: 8 }, async () =>
    streamed(await client.completions.create({ ...request, stream: true }))));
  assert.deepEqual(texts, Array(8).fill(process.env.SPEARFISH_EXPECTED));
});

test('a chat that is broken off', async () => {
  const stream = await client.chat.completions.create({
    model: request.model,
    messages: [{ role: 'user', content: request.prompt }],
    max_tokens: 2000,
    stream: true,
  });
  for await (const chunk of stream) {
    assert.equal(chunk.object, 'chat.completion.chunk');
    break;
  }
});

test('a kept connection serves many requests', async () => {
  const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
  const sockets = new Set();
  for (let i = 0; i < 5; ++i) {
    await new Promise((resolve, reject) => {
      const get = https.get(`https://${process.env.SPEARFISH_HTTP}/v1/models`, { agent }, (answer) => {
        assert.equal(answer.statusCode, 200);
        sockets.add(answer.socket);
        answer.resume().on('end', () => setImmediate(resolve));
      });
      get.on('error', reject);
    });
  }
  agent.destroy();
  assert.equal(sockets.size, 1);
});

test('an answer up to the end of the connection is whole', async () => {
  await new Promise((resolve, reject) => {
    https.get(`https://${process.env.SPEARFISH_HTTP}/v1/models`, { agent: false }, (answer) => {
      answer.resume().on('end', () => {
        assert.ok(answer.complete);
        resolve();
      });
    }).on('error', reject);
  });
});
