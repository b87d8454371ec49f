// Runs cases through npm aws-local-stepfunctions. Standard input holds one JSON
// case a line, standard output gets one JSON result a line; the Go test of
// internal/asl writes and reads them. Waits and pauses between attempts are cut
// to nothing; a task's own timeout runs in real time.
import { createInterface } from 'node:readline';
import { createRequire } from 'node:module';

const { StateMachine } = createRequire(import.meta.url)('aws-local-stepfunctions');

class TaskError extends Error {
  constructor(name, cause) {
    super(cause);
    this.name = name;
  }
}

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

// handlers answers each Task with the next of its canned answers; the last repeats.
function handlers(definition, answers, sent) {
  const out = {};
  for (const [name, state] of Object.entries(definition.States)) {
    if (state.Type !== 'Task') continue;
    let calls = 0;
    out[name] = async (input) => {
      const all = answers[name] ?? [];
      const a = all[Math.min(calls++, all.length - 1)];
      sent.push({ state: name, input });
      if (a.seconds) await sleep(a.seconds * 1000);
      if (a.error) throw new TaskError(a.error, a.cause ?? '');
      return a.bytes ? 'x'.repeat(a.bytes) : a.result;
    };
  }
  return out;
}

function zeroes(definition, type) {
  const names = Object.keys(definition.States).filter((n) => definition.States[n].Type === type);
  return Object.fromEntries(names.map((n) => [n, 0]));
}

async function runCase({ name, definition, input, answers }) {
  const path = [];
  const sent = [];
  const res = { name, path, sent };
  let machine;
  try {
    machine = new StateMachine(definition, { validationOptions: { checkPaths: true, checkArn: true } });
  } catch (e) {
    return { ...res, refused: String(e.message) };
  }
  const execution = machine.run(input, {
    overrides: {
      taskResourceLocalHandlers: handlers(definition, answers, sent),
      waitTimeOverrides: zeroes(definition, 'Wait'),
      retryIntervalOverrides: zeroes(definition, 'Task'),
    },
    context: { Execution: { Id: name, Name: name, Input: input, StartTime: new Date().toISOString() } },
  });
  const result = execution.result.then(
    (output) => Object.assign(res, { status: 'SUCCEEDED', output }),
    (e) => e,
  );
  for await (const event of execution.eventLogs) {
    if (event.type === 'StateEntered') path.push(event.state.name);
    if (event.type === 'ExecutionFailed') Object.assign(res, { status: 'FAILED', error: event.Error, cause: event.Cause });
    if (event.type === 'ExecutionTimeout') Object.assign(res, { status: 'TIMED_OUT' });
  }
  await result;
  return res;
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(JSON.stringify(await runCase(JSON.parse(line))) + '\n');
}
process.exit(0);
