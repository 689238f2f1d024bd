// The official client against a gateway whose worker answers with the last message of the chat, in
// pieces of three characters. SPEARFISH_HTTP is the gateway's HOST:PORT.
import assert from 'node:assert/strict';
import test from 'node:test';
import OpenAI from 'openai';

const client = new OpenAI({
  baseURL: `http://${process.env.SPEARFISH_HTTP}/v1`,
  apiKey: 'any',
  maxRetries: 0,
});
const model = process.env.SPEARFISH_MODEL;
const tools = ['lookup', 'add'].map((name) => ({
  type: 'function',
  function: { name, parameters: { type: 'object' } },
}));
const call = (name, args) =>
  `<tool_call>\n${JSON.stringify({ name, arguments: args })}\n</tool_call>`;

const asked = (says, more = {}) =>
  ({ model, tools, messages: [{ role: 'user', content: says }], ...more });

async function whole(says, more) {
  const { choices } = await client.chat.completions.create(asked(says, more));
  return choices[0];
}
// Put together again by the client's own helper, but for reasoning, which it does not know.
async function streamed(says, more) {
  const stream = client.chat.completions.stream(asked(says, more));
  let reasoning = '';
  stream.on('chunk', ({ choices }) => (reasoning += choices[0]?.delta.reasoning_content ?? ''));
  const { choices } = await stream.finalChatCompletion();
  choices[0].message.reasoning_content = reasoning;
  return choices[0];
}
const functionsOf = ({ message }) =>
  (message.tool_calls ?? []).map(({ function: f }) => [f.name, JSON.parse(f.arguments)]);

for (const [how, ask] of [['whole', whole], ['streamed', streamed]]) {
  test(`a call, ${how}`, async () => {
    const choice = await ask(`Let me look.\n${call('lookup', { key: 'a "b" é' })}`);
    assert.equal(choice.finish_reason, 'tool_calls');
    assert.deepEqual(functionsOf(choice), [['lookup', { key: 'a "b" é' }]]);
    assert.equal(choice.message.content.trim(), 'Let me look.');
    assert.match(choice.message.tool_calls[0].id, /^.+$/);
    assert.equal(choice.message.tool_calls[0].type, 'function');
  });

  test(`several calls after reasoning, ${how}`, async () => {
    const choice = await ask(
      `<think>\nFirst this, then that.\n</think>\n\n${call('lookup', {})}\n${call('add', { x: [1, 2] })}`);
    assert.equal(choice.finish_reason, 'tool_calls');
    assert.deepEqual(functionsOf(choice), [['lookup', {}], ['add', { x: [1, 2] }]]);
    const ids = choice.message.tool_calls.map(({ id }) => id);
    assert.equal(new Set(ids).size, 2);
    assert.equal(choice.message.reasoning_content.trim(), 'First this, then that.');
  });

  test(`reasoning that the template has begun, ${how}`, async () => {
    const choice = await ask('Hm.\n</think>\n\nYes.');
    assert.equal(choice.finish_reason, 'stop');
    assert.equal(choice.message.reasoning_content.trim(), 'Hm.');
    assert.equal(choice.message.content.trim(), 'Yes.');
  });

  test(`a call whose JSON is broken stays content, ${how}`, async () => {
    const says = '<tool_call>\n{"name": "lookup", "arguments": {\n</tool_call>';
    const choice = await ask(says);
    assert.equal(choice.finish_reason, 'stop');
    assert.equal(choice.message.content, says);
    assert.deepEqual(functionsOf(choice), []);
  });

  test(`without tools a call is content, ${how}`, async () => {
    const says = call('lookup', {});
    const choice = await ask(says, { tools: undefined });
    assert.equal(choice.finish_reason, 'stop');
    assert.equal(choice.message.content, says);
  });
}

test('no chunk shows a part of a tag', async () => {
  const says = `1 < 2, 1 <t> 2. ${call('add', { x: 1 })}`;
  const stream = await client.chat.completions.create(asked(says, { stream: true }));
  let content = '';
  for await (const { choices } of stream) {
    content += choices[0]?.delta.content ?? '';
    assert.ok(!content.includes('<tool') && !content.includes('"name"'), content);
  }
  assert.equal(content.trim(), '1 < 2, 1 <t> 2.');
});
