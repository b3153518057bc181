//! A client in Rust: reports an agent's failures, and follows what comes of them until a skill waits for review.
//!
//!     autodev settings set --enabled                      # once: nothing is learnt before
//!     autodev agents set-maturity invoice-agent intern    # once for each agent
//!     ./build.sh && target/debug/autodev-client 127.0.0.1:50051 ../../../.autodev/keys/default.key invoice-agent

use std::error::Error;
use std::iter::successors;
use std::process::ExitCode;
use std::time::Duration;
use std::{env, fs};

use tokio::task::JoinHandle;
use tokio::time::sleep;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use events::event::Payload;
use events::event_service_client::EventServiceClient;
use events::subscribe_request::Start;
use events::{
    Event, EventFilter, Example, Outcome, PublishRequest, PublishResponse, ReviewRequested,
    SubscribeRequest, TaskEvent,
};

mod autodev {
    pub mod options {
        pub mod v1 {
            tonic::include_proto!("autodev.options.v1");
        }
    }
    pub mod gateway {
        pub mod v1 {
            tonic::include_proto!("autodev.gateway.v1");
        }
    }
}
use autodev::gateway::v1 as events;

const TASK: &str =
    "Write last_day(year, month), which gives the number of the last day of a month.";
const EXAMPLES: [(&str, &str); 6] = [
    ("last_day(2024, 2)", "29"),
    ("last_day(2023, 2)", "28"),
    ("last_day(2023, 4)", "30"),
    ("last_day(2023, 1)", "31"),
    ("last_day(2000, 2)", "29"),
    ("last_day(2023, 12)", "31"),
];

/// The statuses after which a call is made again: the gateway stops or is away, this client read too slowly, or too much
/// was asked at once. UNKNOWN is tonic's word for a connection that was lost; a gateway never says it.
const PASSING: [Code; 4] = [
    Code::Unavailable,
    Code::ResourceExhausted,
    Code::Cancelled,
    Code::Unknown,
];
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const MOST_TRIES: u32 = 4;

/// How long no event may come before a person is told what may be missing.
const PATIENCE: Duration = Duration::from_secs(10);
const NOTHING_YET: &str = "nothing yet: is Auto-Dev enabled, and the agent INTERN?";

/// Sends the key with every call.
#[derive(Clone)]
struct Key(MetadataValue<Ascii>);

impl Interceptor for Key {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request
            .metadata_mut()
            .insert("authorization", self.0.clone());
        Ok(request)
    }
}

type Events = EventServiceClient<tonic::service::interceptor::InterceptedService<Channel, Key>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", told(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// What a person is told: of a refused call its code and message, of anything else its causes.
fn told(error: &(dyn Error + 'static)) -> String {
    if let Some(status) = error.downcast_ref::<Status>() {
        return format!("{:?}: {}", status.code(), status.message());
    }
    let causes = successors(Some(error), |each| (*each).source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

async fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [address, key_file, agent] = arguments.as_slice() else {
        return Err("usage: autodev-client <address> <key file> <agent>".into());
    };
    let key = Key(format!("Bearer {}", fs::read_to_string(key_file)?.trim()).parse()?);
    // Plain text is for this machine only: elsewhere, https and a ClientTlsConfig.
    let channel = Channel::from_shared(format!("http://{address}"))?
        // Notices that the gateway, or the way to it, is gone without a word.
        .http2_keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(5))
        .connect()
        .await?;
    let mut events = EventServiceClient::with_interceptor(channel, key);

    let failures = vec![
        failure(
            agent,
            "return calendar.monthrange(year, month)[0]",
            "AssertionError: last_day(2024, 2) gave 3",
        ),
        failure(
            agent,
            "return calendar.monthrange(year, month)",
            "AssertionError: last_day(2024, 2) gave (3, 29)",
        ),
    ];
    let published = report(&mut events, failures).await?;
    println!("reported {} failures", published.event_ids.len());
    let cursor = published.cursors.last().ok_or("nothing was published")?;
    let hint = tokio::spawn(async {
        sleep(PATIENCE).await;
        eprintln!("{NOTHING_YET}");
    });
    let review = follow(&mut events, agent, cursor.clone(), &hint).await?;
    println!("{}: autodev review show {}", review.title, review.review_id);
    Ok(())
}

/// One failed attempt. The ids of the event and the episode are ours; the same ones again change nothing.
fn failure(agent: &str, statement: &str, error_trace: &str) -> Event {
    let examples = EXAMPLES
        .map(|(call, expected)| Example {
            call: call.into(),
            expected: expected.into(),
            ..Default::default()
        })
        .into();
    let attempt = TaskEvent {
        episode_id: format!("episode-{}", uuid::Uuid::now_v7()),
        agent_id: agent.into(),
        task_description: TASK.into(),
        code: format!("import calendar\n\n\ndef last_day(year, month):\n    {statement}\n"),
        error_trace: error_trace.into(),
        outcome: Outcome::Failure.into(),
        examples,
        ..Default::default()
    };
    Event {
        id: uuid::Uuid::now_v7().to_string(),
        payload: Some(Payload::TaskFailed(attempt)),
        ..Default::default()
    }
}

/// Publishes the events; where nobody is found, or the answer is lost, again: an event's id has it appended once.
async fn report(client: &mut Events, events: Vec<Event>) -> Result<PublishResponse, Status> {
    let mut tries = 1;
    loop {
        let request = PublishRequest {
            events: events.clone(),
        };
        match client.publish(request).await {
            Err(status) if tries < MOST_TRIES && PASSING.contains(&status.code()) => {}
            answer => return answer.map(tonic::Response::into_inner),
        }
        pause(tries).await;
        tries += 1;
    }
}

/// Waits before a call is made again: not all clients at the same time, when a gateway comes back.
async fn pause(tries: u32) {
    let longest = LONGEST_PAUSE.min(SHORTEST_PAUSE.saturating_mul(2_u32.saturating_pow(tries)));
    sleep(longest.mul_f64(fastrand::f64())).await;
}

/// Prints the agent's events after a cursor; gives the one that asks for a review. Where the subscription breaks off,
/// subscribes again behind what was read, so that no event is missed or repeated. The first event ends the hint.
async fn follow(
    events: &mut Events,
    agent: &str,
    mut cursor: String,
    hint: &JoinHandle<()>,
) -> Result<ReviewRequested, Status> {
    let mut tries = 0;
    loop {
        let before = cursor.clone();
        match read(events, agent, &mut cursor, hint).await {
            Err(status) if PASSING.contains(&status.code()) => {}
            ended => return ended,
        }
        tries = if cursor == before { tries + 1 } else { 0 };
        pause(tries).await;
    }
}

/// Prints the agent's events after a cursor, which it moves on, until one asks for a review.
async fn read(
    events: &mut Events,
    agent: &str,
    cursor: &mut String,
    hint: &JoinHandle<()>,
) -> Result<ReviewRequested, Status> {
    let request = SubscribeRequest {
        start: Some(Start::AfterCursor(cursor.clone())),
        filter: Some(EventFilter {
            agent_ids: vec![agent.into()],
            ..Default::default()
        }),
        ..Default::default()
    };
    let mut stream = events.subscribe(request).await?.into_inner();
    while let Some(batch) = stream.message().await? {
        for payload in batch.events.into_iter().filter_map(|event| event.payload) {
            hint.abort();
            println!("{}", <&str>::from(&payload));
            if let Payload::ReviewRequested(review) = payload {
                return Ok(review);
            }
        }
        *cursor = batch.head_cursor;
    }
    Err(Status::unavailable("the gateway ended the subscription"))
}
