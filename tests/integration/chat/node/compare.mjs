// Renders generated conversations with every template, here and by RENDERER, and compares bytes.
// usage: node compare.mjs RENDERER TEMPLATES_FOLDER [CONVERSATIONS_EACH [SEED]]
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

import { Template } from '@huggingface/jinja';

import { Conversations } from './conversations.mjs';

const [renderer, folder, each = '1500', seed = '1'] = process.argv.slice(2);
const SHOWN = 3;

function renderHere(template, input) {
  try {
    const { messages, tools, add_generation_prompt, variables } = input;
    return { text: template.render({ ...variables, messages, tools, documents: null, add_generation_prompt }) };
  } catch (error) {
    return { error: String(error.message) };
  }
}

function renderThere(file, inputs) {
  const run = spawnSync(renderer, [file], {
    input: inputs.map((input) => JSON.stringify(input)).join('\n') + '\n',
    encoding: 'utf8', maxBuffer: 1 << 30,
  });
  if (run.status !== 0) throw new Error(`${renderer} failed on ${file}: ${run.stderr}`);
  return run.stdout.trimEnd().split('\n').map((line) => JSON.parse(line));
}

// Both the same text, or both an error (whose words are each one's own).
function agree(here, there) {
  return here.text === there.text && (here.error === undefined) === (there.error === undefined);
}

let texts = 0;
let errors = 0;
let differences = 0;
for (const name of readdirSync(folder).filter((n) => n.endsWith('.jinja')).sort()) {
  const file = path.join(folder, name);
  const template = new Template(readFileSync(file, 'utf8'));
  const conversations = new Conversations(Number(seed));
  const inputs = Array.from({ length: Number(each) }, () => conversations.input());
  const there = renderThere(file, inputs);
  let rendered = 0;
  let different = 0;
  inputs.forEach((input, i) => {
    const here = renderHere(template, input);
    if (here.text === undefined) ++errors;
    else ++rendered;
    if (agree(here, there[i])) return;
    if (different++ < SHOWN) {
      console.log(`${name}: different for ${JSON.stringify(input)}\n  npm:  ${JSON.stringify(here)}\n` +
                  `  ours: ${JSON.stringify(there[i])}`);
    }
  });
  console.log(`${name}: ${rendered} texts of ${inputs.length}, ${different} different`);
  texts += rendered;
  differences += different;
  if (rendered * 2 < inputs.length) {
    console.log(`${name}: most conversations are refused, so little was compared`);
    ++differences;
  }
}
console.log(`${texts} texts and ${errors} refusals compared, ${differences} different`);
process.exitCode = differences === 0 && texts > 0 ? 0 : 1;
