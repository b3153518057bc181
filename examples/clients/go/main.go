// A client in Go: reports an agent's failures, and follows what comes of them until a skill waits for review.
//
//	autodev settings set --enabled                      # once: nothing is learnt before
//	autodev agents set-maturity invoice-agent intern    # once for each agent
//	./build.sh && ./client 127.0.0.1:50051 ../../../.autodev/keys/default.key invoice-agent
package main

import (
	"context"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	gatewayv1 "example.com/autodev/client/gen/autodev/gateway/v1"
	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const task = "Write last_day(year, month), which gives the number of the last day of a month."

var examples = []*gatewayv1.Example{
	{Call: "last_day(2024, 2)", Expected: "29"},
	{Call: "last_day(2023, 2)", Expected: "28"},
	{Call: "last_day(2023, 4)", Expected: "30"},
	{Call: "last_day(2023, 1)", Expected: "31"},
	{Call: "last_day(2000, 2)", Expected: "29"},
	{Call: "last_day(2023, 12)", Expected: "31"},
}

// resumed are the statuses that a subscription goes on after: the gateway stops or is away, this client read too slowly,
// or too much was asked at once.
var resumed = []codes.Code{codes.Unavailable, codes.ResourceExhausted, codes.Canceled}

// repeated has a call made again that found nobody, that a gateway which stops had not begun (CANCELLED), or whose answer
// was lost: an event's id has it appended once.
const repeated = `{"methodConfig": [{"name": [{}], "retryPolicy": {
	"maxAttempts": 4, "initialBackoff": "0.1s", "maxBackoff": "2s", "backoffMultiplier": 2,
	"retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"]
}}]}`

// alive notices that the gateway, or the way to it, is gone without a word.
var alive = keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 5 * time.Second}

const shortestPause, longestPause = 100 * time.Millisecond, 5 * time.Second

// patience is how long no event may come before a person is told what may be missing.
const patience = 10 * time.Second
const nothingYet = "nothing yet: is Auto-Dev enabled, and the agent INTERN?"

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: client <address> <key file> <agent>")
	}
	address, keyFile, agent := os.Args[1], os.Args[2], os.Args[3]
	if err := run(address, keyFile, agent); err != nil {
		log.Fatal(err)
	}
}

func run(address, keyFile, agent string) error {
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return err
	}
	// Plain text is for this machine only: elsewhere, credentials.NewTLS.
	connection, err := grpc.NewClient(
		address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(repeated),
		grpc.WithKeepaliveParams(alive),
	)
	if err != nil {
		return err
	}
	defer connection.Close()
	events := gatewayv1.NewEventServiceClient(connection)
	ctx := metadata.AppendToOutgoingContext(
		context.Background(), "authorization", "Bearer "+strings.TrimSpace(string(key)),
	)

	published, err := events.Publish(ctx, &gatewayv1.PublishRequest{Events: []*gatewayv1.Event{
		failure(agent, "return calendar.monthrange(year, month)[0]", "AssertionError: last_day(2024, 2) gave 3"),
		failure(agent, "return calendar.monthrange(year, month)", "AssertionError: last_day(2024, 2) gave (3, 29)"),
	}})
	if err != nil {
		return err
	}
	fmt.Printf("reported %d failures\n", len(published.EventIds))
	hint := time.AfterFunc(patience, func() { fmt.Fprintln(os.Stderr, nothingYet) })
	review, err := follow(ctx, events, agent, published.Cursors[len(published.Cursors)-1], hint)
	if err != nil {
		return err
	}
	fmt.Printf("%s: autodev review show %s\n", review.Title, review.ReviewId)
	return nil
}

// failure is one failed attempt. The ids of the event and the episode are ours; the same ones again change nothing.
func failure(agent, statement, errorTrace string) *gatewayv1.Event {
	return &gatewayv1.Event{Id: newID(), Payload: &gatewayv1.Event_TaskFailed{TaskFailed: &gatewayv1.TaskEvent{
		EpisodeId:       "episode-" + newID(),
		AgentId:         agent,
		TaskDescription: task,
		Code:            "import calendar\n\n\ndef last_day(year, month):\n    " + statement + "\n",
		ErrorTrace:      errorTrace,
		Outcome:         gatewayv1.Outcome_OUTCOME_FAILURE,
		Examples:        examples,
	}}}
}

// newID is a UUIDv7: ids sort by age.
func newID() string {
	return uuid.Must(uuid.NewV7()).String()
}

// follow prints the agent's events after a cursor, and gives the one that asks for a review. Where the subscription
// breaks off, it subscribes again behind what it has read, so that no event is missed or repeated. The first event stops
// the hint.
func follow(
	ctx context.Context, events gatewayv1.EventServiceClient, agent, cursor string, hint *time.Timer,
) (*gatewayv1.ReviewRequested, error) {
	pause := shortestPause
	for {
		review, reached, err := read(ctx, events, agent, cursor, hint)
		if !slices.Contains(resumed, status.Code(err)) {
			return review, err
		}
		if reached != cursor {
			cursor, pause = reached, shortestPause
		}
		// Not all at the same time, when a gateway comes back.
		select {
		case <-time.After(rand.N(pause)):
		case <-ctx.Done():
			return nil, err
		}
		pause = min(2*pause, longestPause)
	}
}

// read prints the agent's events after a cursor until one asks for a review, and says behind which cursor to go on.
func read(
	ctx context.Context, events gatewayv1.EventServiceClient, agent, cursor string, hint *time.Timer,
) (*gatewayv1.ReviewRequested, string, error) {
	stream, err := events.Subscribe(ctx, &gatewayv1.SubscribeRequest{
		Start:  &gatewayv1.SubscribeRequest_AfterCursor{AfterCursor: cursor},
		Filter: &gatewayv1.EventFilter{AgentIds: []string{agent}},
	})
	if err != nil {
		return nil, cursor, err
	}
	for {
		batch, err := stream.Recv()
		if err != nil {
			return nil, cursor, err
		}
		for _, event := range batch.Events {
			hint.Stop()
			fmt.Println(kind(event))
			if review := event.GetReviewRequested(); review != nil {
				return review, batch.HeadCursor, nil
			}
		}
		cursor = batch.HeadCursor
	}
}

// kind is the name of what the event tells.
func kind(event *gatewayv1.Event) string {
	message := event.ProtoReflect()
	return string(message.WhichOneof(message.Descriptor().Oneofs().ByName("payload")).Name())
}
