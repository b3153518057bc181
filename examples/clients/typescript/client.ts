// A client in TypeScript: reports an agent's failures, and follows what comes of them until a skill waits for review.
//
//     autodev settings set --enabled                      # once: nothing is learnt before
//     autodev agents set-maturity invoice-agent intern    # once for each agent
//     ./build.sh
//     node dist/client.js 127.0.0.1:50051 ../../../.autodev/keys/default.key invoice-agent

import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

import { create } from "@bufbuild/protobuf";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";

import { type Event, EventSchema, Outcome, type ReviewRequested } from "./gen/autodev/gateway/v1/event_pb.js";
import { EventService, type PublishResponse } from "./gen/autodev/gateway/v1/event_service_pb.js";

const TASK = "Write last_day(year, month), which gives the number of the last day of a month.";
const EXAMPLES = [
  { call: "last_day(2024, 2)", expected: "29" },
  { call: "last_day(2023, 2)", expected: "28" },
  { call: "last_day(2023, 4)", expected: "30" },
  { call: "last_day(2023, 1)", expected: "31" },
  { call: "last_day(2000, 2)", expected: "29" },
  { call: "last_day(2023, 12)", expected: "31" },
];

/**
 * The statuses after which a call is made again: the gateway stops or is away, this client read too slowly, or too much
 * was asked at once. A connection that was lost is `Canceled` or `Aborted` here.
 */
const PASSING = [Code.Unavailable, Code.ResourceExhausted, Code.Canceled, Code.Aborted];
const SHORTEST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5_000;
const MOST_TRIES = 4;

/** How long no event may come before a person is told what may be missing. */
const PATIENCE_MS = 10_000;
const NOTHING_YET = "nothing yet: is Auto-Dev enabled, and the agent INTERN?";

/** Notices that the gateway, or the way to it, is gone without a word. */
const ALIVE = { pingIntervalMs: 20_000, pingTimeoutMs: 5_000 };

/** One failed attempt. The ids of the event and the episode are ours; the same ones again change nothing. */
function failure(agent: string, statement: string, errorTrace: string): Event {
  const attempt = {
    episodeId: `episode-${randomUUID()}`,
    agentId: agent,
    taskDescription: TASK,
    code: `import calendar\n\n\ndef last_day(year, month):\n    ${statement}\n`,
    errorTrace,
    outcome: Outcome.FAILURE,
    examples: EXAMPLES,
  };
  return create(EventSchema, { id: randomUUID(), payload: { case: "taskFailed", value: attempt } });
}

/** Wait before a call is made again: not all clients at the same time, when a gateway comes back. */
async function pause(tries: number): Promise<void> {
  await sleep(Math.random() * Math.min(SHORTEST_PAUSE_MS * 2 ** tries, LONGEST_PAUSE_MS));
}

/** Publish the events; where nobody is found, or the answer is lost, again: an event's id has it appended once. */
async function report(
  client: Client<typeof EventService>,
  events: Event[],
  headers: HeadersInit,
): Promise<PublishResponse> {
  for (let tries = 1; ; tries++) {
    try {
      return await client.publish({ events }, { headers });
    } catch (error) {
      if (tries === MOST_TRIES || !PASSING.includes(ConnectError.from(error).code)) {
        throw error;
      }
    }
    await pause(tries);
  }
}

/**
 * Print the agent's events after a cursor; give the one that asks for a review. Where the subscription breaks off,
 * subscribe again behind what was read, so that no event is missed or repeated. The first event ends the hint.
 */
async function follow(
  events: Client<typeof EventService>,
  agent: string,
  cursor: string,
  headers: HeadersInit,
  hint: NodeJS.Timeout,
): Promise<ReviewRequested> {
  for (let tries = 0; ; tries++) {
    const request = { start: { case: "afterCursor" as const, value: cursor }, filter: { agentIds: [agent] } };
    try {
      for await (const batch of events.subscribe(request, { headers })) {
        for (const event of batch.events) {
          clearTimeout(hint);
          console.log(event.payload.case);
          if (event.payload.case === "reviewRequested") {
            return event.payload.value;
          }
        }
        cursor = batch.headCursor;
        tries = 0;
      }
    } catch (error) {
      if (!PASSING.includes(ConnectError.from(error).code)) {
        throw error;
      }
    }
    await pause(tries);
  }
}

async function main(address: string, keyFile: string, agent: string): Promise<void> {
  // Plain text is for this machine only: elsewhere, https.
  const baseUrl = `http://${address}`;
  const connection = new Http2SessionManager(baseUrl, ALIVE);
  const events = createClient(EventService, createGrpcTransport({ baseUrl, sessionManager: connection }));
  const headers = { authorization: `Bearer ${readFileSync(keyFile, "utf8").trim()}` };
  try {
    const failures = [
      failure(agent, "return calendar.monthrange(year, month)[0]", "AssertionError: last_day(2024, 2) gave 3"),
      failure(agent, "return calendar.monthrange(year, month)", "AssertionError: last_day(2024, 2) gave (3, 29)"),
    ];
    const published = await report(events, failures, headers);
    console.log(`reported ${published.eventIds.length} failures`);
    const hint = setTimeout(() => console.error(NOTHING_YET), PATIENCE_MS);
    const review = await follow(events, agent, published.cursors.at(-1)!, headers, hint);
    console.log(`${review.title}: autodev review show ${review.reviewId}`);
  } finally {
    // It would be kept for further calls, and the process with it.
    connection.abort();
  }
}

const [address, keyFile, agent] = process.argv.slice(2);
if (!address || !keyFile || !agent) {
  console.error("usage: node dist/client.js <address> <key file> <agent>");
  process.exit(2);
}
try {
  await main(address, keyFile, agent);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}
