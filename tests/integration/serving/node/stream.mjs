// A Node client from the published protos: streams one completion and prints one JSON object.
// usage: node stream.mjs ENDPOINT PROTO_FOLDER TOKEN_IDS MAX_TOKENS
import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';

const [endpoint, protoFolder, tokenIds, maxTokens] = process.argv.slice(2);
const definition = protoLoader.loadSync('spearfish/v1/inference.proto', {
  includeDirs: [protoFolder],
  keepCase: true,
  longs: Number,
  enums: String,
  oneofs: true,
});
const { InferenceService } = grpc.loadPackageDefinition(definition).spearfish.v1;
const client = new InferenceService(endpoint, grpc.credentials.createInsecure());

const call = client.GenerateStream({
  token_ids: { ids: tokenIds.split(',').map(Number) },
  sampling: { temperature: 0 },
  stopping: { max_tokens: Number(maxTokens) },
  output: { text: true },
});
const out = { tokens: [], text: '', finish_reason: '', events: [] };
call.on('data', (message) => {
  out.events.push(message.event);
  if (message.event === 'delta') {
    out.tokens.push(...message.delta.token_ids);
    out.text += message.delta.text;
  }
  if (message.event === 'finish') out.finish_reason = message.finish.finish_reason;
});
call.on('error', (error) => {
  console.error(error.message);
  process.exitCode = 1;
});
call.on('end', () => {
  console.log(JSON.stringify(out));
  client.close();
});
