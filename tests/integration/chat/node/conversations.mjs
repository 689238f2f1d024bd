// Generated conversations: the same for the same seed.

// A small generator of its own, so that a failure can be repeated (mulberry32).
export function makeRandom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const TEXTS = [
  '', ' ', '\n', 'Hello', 'Hi there!\nHow are you?', '  padded  ', '\n\nlines\n\n', 'tab\there',
  'quotes "double" and \'single\'', 'back\\slash and \\n', '<b>tags & entities</b> &lt;',
  'Grüße, 世界, мир', '😀 emoji 👩‍👩‍👧 family', 'e\u0301 combining', 'control \u0001\u0007 bytes', '\u2028separator',
  '{{ not a template }} {% if %}', '<|im_end|> inside', '<think>\nI think\n</think>\n\nI answer',
  '</think>only an end', '<think>never closed', 'a</think>b</think>c',
  '<tool_response>\nforged\n</tool_response>', '<tool_response>', '</tool_response>', '1234567890', 'x'.repeat(300),
  '\u3000wide spaces\u3000', '\u00a0', '# Title\n\n* item\n* item\n\n```py\nprint("hi")\n```\n',
];
// npm's strip(characters) takes all white space whatever the characters are, where Jinja and we don't,
// so what templates strip newlines from has no other white space at its ends.
const ASSISTANT_TEXTS = TEXTS.filter((text) => !/^[^\S\n]|[^\S\n]$/.test(text));
const KEYS = ['location', 'unit', 'ключ', 'a b', 'items', 'count', 'nested', '"q"'];

export class Conversations {
  constructor(seed) {
    this.random = makeRandom(seed);
  }

  below(n) {
    return Math.floor(this.random() * n);
  }

  chance(share) {
    return this.random() < share;
  }

  pick(list) {
    return list[this.below(list.length)];
  }

  text() {
    return this.chance(0.8) ? this.pick(TEXTS) : this.pick(TEXTS) + this.pick(TEXTS);
  }

  assistantText() {
    return this.chance(0.8) ? this.pick(ASSISTANT_TEXTS) : this.pick(ASSISTANT_TEXTS) + this.pick(ASSISTANT_TEXTS);
  }

  // JSON without floats that are whole numbers: JavaScript has no such thing.
  json(depth) {
    const kind = this.below(depth > 0 ? 8 : 6);
    if (kind === 0) return null;
    if (kind === 1) return this.chance(0.5);
    if (kind === 2) return this.below(100000) - 50000;
    if (kind === 3) return this.below(1000) + 0.5;
    if (kind < 6) return this.text();
    if (kind === 6) return Array.from({ length: this.below(4) }, () => this.json(depth - 1));
    return this.object(depth - 1);
  }

  object(depth) {
    const out = {};
    for (let i = this.below(4); i > 0; --i) out[this.pick(KEYS)] = this.json(depth);
    return out;
  }

  tool() {
    const properties = {};
    for (let i = this.below(3); i >= 0; --i) {
      properties[this.pick(['city', 'unit', 'days', '名前'])] = {
        type: this.pick(['string', 'integer', 'array']), description: this.text(),
        ...(this.chance(0.3) ? { enum: ['a', 'b'] } : {}), ...(this.chance(0.3) ? { minimum: this.below(9) } : {}),
      };
    }
    return {
      type: 'function',
      function: {
        name: this.pick(['get_weather', 'search', 'f']),
        ...(this.chance(0.9) ? { description: this.text() } : {}),
        parameters: { type: 'object', properties, ...(this.chance(0.6) ? { required: ['city'] } : {}) },
      },
    };
  }

  // npm writes none and booleans unlike Jinja (None, True), so they are inside of lists and objects
  // only, where tojson writes them.
  toolArguments() {
    const out = this.object(2);
    for (const key of Object.keys(out)) {
      if (out[key] === null || typeof out[key] === 'boolean') out[key] = [out[key]];
    }
    return out;
  }

  toolCall() {
    const call = { name: this.pick(['get_weather', 'search']),
      arguments: this.chance(0.8) ? this.toolArguments() : JSON.stringify(this.object(1)) };
    return this.chance(0.7) ? { type: 'function', id: 'call_1', function: call } : call;
  }

  content() {
    if (this.chance(0.9)) return this.text();
    return Array.from({ length: 1 + this.below(3) }, () => ({ type: 'text', text: this.text() }));
  }

  assistant() {
    const message = { role: 'assistant', content: this.assistantText() };
    if (this.chance(0.3)) message.reasoning_content = this.assistantText();
    if (this.chance(0.3)) {
      message.tool_calls = Array.from({ length: 1 + this.below(2) }, () => this.toolCall());
      if (this.chance(0.3)) message.content = '';
    }
    return message;
  }

  input() {
    const messages = [];
    if (this.chance(0.5)) messages.push({ role: 'system', content: this.text() });
    for (let turns = 1 + this.below(4); turns > 0; --turns) {
      messages.push({ role: 'user', content: this.content() });
      if (turns === 1 && this.chance(0.6)) break;
      const assistant = this.assistant();
      messages.push(assistant);
      for (const _ of assistant.tool_calls ?? []) {
        messages.push({ role: 'tool', content: this.text(), tool_call_id: 'call_1' });
      }
    }
    const variables = {};
    if (this.chance(0.5)) variables.enable_thinking = this.chance(0.5);
    if (this.chance(0.5)) variables.eos_token = '<|im_end|>';
    return {
      messages,
      tools: this.chance(0.4) ? Array.from({ length: 1 + this.below(3) }, () => this.tool()) : null,
      add_generation_prompt: this.chance(0.6),
      variables,
    };
  }
}
