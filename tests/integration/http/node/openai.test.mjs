// The official client against a running gateway. SPEARFISH_HTTP is its HOST:PORT,
// SPEARFISH_EXPECTED a file with what gRPC answered to the same requests.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import OpenAI from 'openai';

const expected = JSON.parse(readFileSync(process.env.SPEARFISH_EXPECTED, 'utf8'));
const { model, prompt } = expected;
const client = new OpenAI({
  baseURL: `http://${process.env.SPEARFISH_HTTP}/v1`,
  apiKey: 'any',
  maxRetries: 0,
});
const messages = [{ role: 'user', content: prompt }];
const greedy = { model, prompt, max_tokens: 24, temperature: 0 };
const greedyChat = { model, messages, max_tokens: 24, temperature: 0 };
const lookup = {
  type: 'function',
  function: { name: 'lookup', parameters: { type: 'object', properties: { key: { type: 'string' } } } },
};

async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}
const textOf = (chunks, index) =>
  chunks.flatMap((c) => c.choices).filter((c) => c.index === index).map((c) => c.text).join('');
const contentOf = (chunks, field = 'content') =>
  chunks.flatMap((c) => c.choices).map((c) => c.delta[field] ?? '').join('');

test('models', async () => {
  const list = await client.models.list();
  assert.deepEqual(list.data.map((m) => m.id), [model]);
  assert.equal((await client.models.retrieve(model)).owned_by, 'spearfish');
  await assert.rejects(client.models.retrieve('another/one'), (error) =>
    error instanceof OpenAI.NotFoundError && error.code === 'model_not_found');
});

test('a completion is what gRPC answers', async () => {
  const { data, response } = await client.completions.create(greedy).withResponse();
  assert.equal(data.object, 'text_completion');
  assert.equal(data.model, model);
  assert.equal(data.choices[0].text, expected.greedy.texts[0]);
  assert.equal(data.choices[0].finish_reason, 'length');
  assert.equal(data.usage.prompt_tokens, expected.greedy.prompt_tokens);
  assert.equal(data.usage.completion_tokens, 24);
  assert.equal(data.usage.total_tokens, expected.greedy.prompt_tokens + 24);
  assert.equal(data.id, `cmpl-${response.headers.get('x-request-id')}`);
});

test('a streamed completion is the same', async () => {
  const chunks = await collect(await client.completions.create(
    { ...greedy, stream: true, stream_options: { include_usage: true } }));
  assert.ok(chunks.length > 2);
  assert.equal(textOf(chunks, 0), expected.greedy.texts[0]);
  const last = chunks.pop();
  assert.deepEqual(last.choices, []);
  assert.equal(last.usage.completion_tokens, 24);
  assert.ok(chunks.every((chunk) => chunk.usage === null));
});

test('log-probabilities of a completion', async () => {
  const { choices } = await client.completions.create({ ...greedy, logprobs: 2 });
  const { tokens, token_logprobs, top_logprobs, text_offset } = choices[0].logprobs;
  assert.deepEqual(token_logprobs, expected.greedy.logprobs[0]);
  assert.equal(tokens.join(''), choices[0].text);
  assert.equal(text_offset[1], tokens[0].length);
  assert.ok(top_logprobs.every((top) => Object.keys(top).length === 2));
});

test('prompts of every kind', async () => {
  const two = await client.completions.create({ ...greedy, prompt: [prompt, 'Once'], n: 2 });
  assert.deepEqual(two.choices.map((c) => c.index), [0, 1, 2, 3]);
  assert.equal(two.choices[1].text, expected.greedy.texts[0]);
  for (const ids of [expected.prompt_ids, [expected.prompt_ids]]) {
    const { choices } = await client.completions.create({ ...greedy, prompt: ids });
    assert.equal(choices[0].text, expected.greedy.texts[0]);
  }
  const chunks = await collect(await client.completions.create(
    { ...greedy, prompt: Array(40).fill(prompt), stream: true }));
  for (let i = 0; i < 40; ++i) assert.equal(textOf(chunks, i), expected.greedy.texts[0]);
  const echo = await client.completions.create({ ...greedy, echo: true });
  assert.equal(echo.choices[0].text, prompt + expected.greedy.texts[0]);
});

test('a seed gives what it gives over gRPC', async () => {
  const request = { ...greedy, temperature: 1, top_p: 0.9, seed: 7, n: 2 };
  for (let i = 0; i < 2; ++i) {
    const { choices, usage } = await client.completions.create(request);
    assert.deepEqual(choices.map((c) => c.text), expected.sampled.texts);
    assert.equal(usage.completion_tokens, expected.sampled.completion_tokens);
  }
  const chunks = await collect(await client.completions.create({ ...request, stream: true }));
  assert.deepEqual([0, 1].map((i) => textOf(chunks, i)), expected.sampled.texts);
});

test('bias and penalties', async () => {
  const { choices } = await client.completions.create(
    { ...greedy, max_tokens: 8, logit_bias: { 100: 100 }, presence_penalty: 1 });
  assert.equal(choices[0].text, expected.biased.texts[0]);
});

test('stop strings', async () => {
  const whole = expected.greedy.texts[0];
  for (const stop of [expected.stop, ['not there', expected.stop]]) {
    const { choices } = await client.completions.create({ ...greedy, stop });
    assert.equal(choices[0].text, whole.slice(0, whole.indexOf(expected.stop)));
    assert.equal(choices[0].finish_reason, 'stop');
  }
});

test('a chat, whole and streamed, with log-probabilities', async () => {
  const request = { ...greedyChat, logprobs: true, top_logprobs: 3 };
  const { choices, usage } = await client.chat.completions.create(request);
  assert.equal(choices[0].message.role, 'assistant');
  assert.equal(choices[0].message.content, expected.chat.texts[0]);
  const { content } = choices[0].logprobs;
  assert.deepEqual(content.map((t) => t.logprob), expected.chat.logprobs[0]);
  assert.equal(Buffer.from(content.flatMap((t) => t.bytes)).toString(), expected.chat.texts[0]);
  assert.ok(content.every((t) => t.top_logprobs.length === 3));
  assert.equal(usage.prompt_tokens, expected.chat.prompt_tokens);
  const chunks = await collect(await client.chat.completions.create({ ...request, stream: true }));
  assert.equal(chunks[0].choices[0].delta.role, 'assistant');
  assert.equal(contentOf(chunks), expected.chat.texts[0]);
  assert.deepEqual(chunks.flatMap((c) => c.choices[0].logprobs?.content ?? []), content);
  assert.equal(chunks.at(-1).choices[0].finish_reason, 'length');
});

test('content in parts, and max_completion_tokens', async () => {
  const { choices, usage } = await client.chat.completions.create({
    model, temperature: 0, max_completion_tokens: 24,
    messages: [{ role: 'user', content: [{ type: 'text', text: prompt.slice(0, 4) },
                                         { type: 'text', text: prompt.slice(4) }] }],
  });
  assert.equal(choices[0].message.content, expected.chat.texts[0]);
  assert.equal(usage.completion_tokens, 24);
});

test('several choices of a chat', async () => {
  const request = { ...greedyChat, temperature: 1, seed: 3, n: 2 };
  const { choices } = await client.chat.completions.create(request);
  assert.equal(choices.length, 2);
  assert.notEqual(choices[0].message.content, choices[1].message.content);
  const again = await client.chat.completions.create(request);
  assert.deepEqual(again.choices, choices);
});

test('tools reach the template unless they may not be called', async () => {
  const tokens = async (more) =>
    (await client.chat.completions.create({ ...greedyChat, ...more })).usage.prompt_tokens;
  const without = await tokens({});
  assert.equal(without, expected.chat.prompt_tokens);
  assert.ok((await tokens({ tools: [lookup] })) > without + 10);
  assert.equal(await tokens({ tools: [lookup], tool_choice: 'none' }), without);
});

test('what a template that opens <think> gives is reasoning', async () => {
  const request = { ...greedyChat, chat_template_kwargs: { enable_thinking: true } };
  const { choices } = await client.chat.completions.create(request);
  const { content, reasoning_content } = choices[0].message;
  assert.equal(content, '');
  assert.ok(reasoning_content.length > 10);
  const chunks = await collect(await client.chat.completions.create({ ...request, stream: true }));
  assert.equal(contentOf(chunks), '');
  assert.equal(contentOf(chunks, 'reasoning_content'), reasoning_content);
});

test('errors are OpenAI errors', async () => {
  const cases = [
    [{ model: 'another' }, OpenAI.NotFoundError, 'model'],
    [{ temperature: 1000 }, OpenAI.BadRequestError, 'temperature'],
    [{ n: 0 }, OpenAI.BadRequestError, 'n'],
    [{ response_format: { type: 'json_object' } }, OpenAI.BadRequestError, 'response_format'],
    [{ tools: [lookup], tool_choice: 'required' }, OpenAI.BadRequestError, 'tool_choice'],
    [{ messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'x' } }] }] },
      OpenAI.BadRequestError, 'messages[0].content[0].type'],
  ];
  for (const [more, type, param] of cases) {
    for (const stream of [false, true]) {
      await assert.rejects(client.chat.completions.create({ ...greedyChat, ...more, stream }),
        (error) => error instanceof type && error.param === param && error.message.length > 10);
    }
  }
});

test('a client that stops listening', async () => {
  const stream = await client.completions.create(
    { ...greedy, max_tokens: 4000, stream: true, ignore_eos: true });
  for await (const chunk of stream) {
    if (chunk.choices[0].text) break;
  }
  stream.controller.abort();
});
