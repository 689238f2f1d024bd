// Streams a completion and prints its tokens as they come; ../README.md says how to run it.
// usage: node stream.mjs HOST:PORT PROTO_FOLDER PROMPT MAX_TOKENS
import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';

if (process.argv.length !== 6) {
  console.error('usage: node stream.mjs HOST:PORT PROTO_FOLDER PROMPT MAX_TOKENS');
  process.exit(2);
}
const [endpoint, protoFolder, prompt, maxTokens] = process.argv.slice(2);
const definition = protoLoader.loadSync('spearfish/v1/inference.proto', {
  includeDirs: [protoFolder],
  keepCase: true,
  enums: String,
  oneofs: true,
});
const { InferenceService } = grpc.loadPackageDefinition(definition).spearfish.v1;
const client = new InferenceService(endpoint, grpc.credentials.createInsecure());

const call = client.GenerateStream(
  {
    text: prompt,
    sampling: { temperature: 0 },
    stopping: { max_tokens: Number(maxTokens) },
  },
  { deadline: Date.now() + 300_000 },
);
try {
  for await (const { event, delta, finish } of call) {
    if (event === 'delta') {
      console.log(JSON.stringify({ token_ids: delta.token_ids, text: delta.text }));
    } else if (event === 'finish') {
      const { finish_reason, usage } = finish;
      console.log(JSON.stringify({ finish_reason, completion_tokens: usage.completion_tokens }));
    }
  }
} catch (error) {
  console.error(`${grpc.status[error.code]}: ${error.details}`);
  process.exitCode = 1;
} finally {
  client.close();
}
