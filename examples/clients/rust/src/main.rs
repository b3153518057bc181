//! A client in Rust: reports an agent's failures, and follows what comes of them until a skill waits for review.
//!
//!     ./build.sh && target/debug/autodev-client 127.0.0.1:50051 ../../../.autodev/keys/default.key invoice-agent

use std::error::Error;
use std::iter::successors;
use std::process::ExitCode;
use std::{env, fs};

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::transport::Channel;
use tonic::{Request, Status};

use events::event::Payload;
use events::event_service_client::EventServiceClient;
use events::subscribe_request::Start;
use events::{
    Event, EventFilter, Example, Outcome, PublishRequest, ReviewRequested, SubscribeRequest,
    TaskEvent,
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
    let published = events
        .publish(PublishRequest { events: failures })
        .await?
        .into_inner();
    println!("reported {} failures", published.event_ids.len());
    let cursor = published.cursors.last().ok_or("nothing was published")?;
    let review = follow(&mut events, agent, cursor).await?;
    println!("{}: autodev review show {}", review.title, review.review_id);
    Ok(())
}

/// One failed attempt. Its episode id is the runtime's; the same id again changes nothing.
fn failure(agent: &str, statement: &str, error_trace: &str) -> Event {
    let examples = EXAMPLES
        .map(|(call, expected)| Example {
            call: call.into(),
            expected: expected.into(),
            ..Default::default()
        })
        .into();
    let attempt = TaskEvent {
        episode_id: format!("episode-{}", uuid::Uuid::new_v4()),
        agent_id: agent.into(),
        task_description: TASK.into(),
        code: format!("import calendar\n\n\ndef last_day(year, month):\n    {statement}\n"),
        error_trace: error_trace.into(),
        outcome: Outcome::Failure.into(),
        examples,
        ..Default::default()
    };
    Event {
        payload: Some(Payload::TaskFailed(attempt)),
        ..Default::default()
    }
}

/// Prints the agent's events after a cursor; gives the one that asks for a review.
async fn follow(
    events: &mut Events,
    agent: &str,
    cursor: &str,
) -> Result<ReviewRequested, Box<dyn Error>> {
    let request = SubscribeRequest {
        start: Some(Start::AfterCursor(cursor.into())),
        filter: Some(EventFilter {
            agent_ids: vec![agent.into()],
            ..Default::default()
        }),
        ..Default::default()
    };
    let mut stream = events.subscribe(request).await?.into_inner();
    while let Some(batch) = stream.message().await? {
        for event in batch.events {
            match event.payload {
                Some(Payload::ReviewRequested(review)) => return Ok(review),
                Some(Payload::FailurePatternDetected(_)) => {
                    println!("a failure pattern is detected")
                }
                Some(Payload::CandidateGenerated(_)) => println!("a candidate is generated"),
                Some(Payload::CandidateValidated(_)) => println!("the candidate is validated"),
                _ => {}
            }
        }
    }
    Err("the gateway ended the subscription".into())
}
