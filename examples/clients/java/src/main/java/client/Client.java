package client;

import autodev.gateway.v1.EventOuterClass.Event;
import autodev.gateway.v1.EventOuterClass.Example;
import autodev.gateway.v1.EventOuterClass.Outcome;
import autodev.gateway.v1.EventOuterClass.ReviewRequested;
import autodev.gateway.v1.EventOuterClass.TaskEvent;
import autodev.gateway.v1.EventServiceGrpc;
import autodev.gateway.v1.EventServiceGrpc.EventServiceBlockingStub;
import autodev.gateway.v1.EventServiceOuterClass.EventFilter;
import autodev.gateway.v1.EventServiceOuterClass.PublishRequest;
import autodev.gateway.v1.EventServiceOuterClass.PublishResponse;
import autodev.gateway.v1.EventServiceOuterClass.SubscribeRequest;
import autodev.gateway.v1.EventServiceOuterClass.SubscribeResponse;
import io.grpc.ClientInterceptor;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.MetadataUtils;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;

/**
 * Reports an agent's failures, and follows what comes of them until a skill waits for review.
 *
 * <pre>
 * autodev settings set --enabled                      # once: nothing is learnt before
 * autodev agents set-maturity invoice-agent intern    # once for each agent
 * ./build.sh
 * java -cp 'target/autodev-client-1.0.0.jar:target/dependency/*' client.Client \
 *     127.0.0.1:50051 ../../../.autodev/keys/default.key invoice-agent
 * </pre>
 */
public final class Client {
  private static final String TASK = "Write last_day(year, month), which gives the number of the last day of a month.";
  private static final List<Example> EXAMPLES =
      List.of(
          example("last_day(2024, 2)", "29"),
          example("last_day(2023, 2)", "28"),
          example("last_day(2023, 4)", "30"),
          example("last_day(2023, 1)", "31"),
          example("last_day(2000, 2)", "29"),
          example("last_day(2023, 12)", "31"));

  /**
   * The statuses that a subscription goes on after: the gateway stops or is away, this client read too slowly, or too
   * much was asked at once.
   */
  private static final Set<Status.Code> RESUMED =
      EnumSet.of(Status.Code.UNAVAILABLE, Status.Code.RESOURCE_EXHAUSTED, Status.Code.CANCELLED);

  /**
   * Has a call made again that found nobody, that a gateway which stops had not begun (CANCELLED), or whose answer was
   * lost: an event's id has it appended once.
   */
  private static final Map<String, ?> REPEATED =
      Map.of(
          "methodConfig",
          List.of(
              Map.of(
                  "name",
                  List.of(Map.of()),
                  "retryPolicy",
                  Map.of(
                      "maxAttempts", 4.0,
                      "initialBackoff", "0.1s",
                      "maxBackoff", "2s",
                      "backoffMultiplier", 2.0,
                      "retryableStatusCodes", List.of("UNAVAILABLE", "CANCELLED")))));

  private static final long SHORTEST_PAUSE_MS = 100;
  private static final long LONGEST_PAUSE_MS = 5_000;

  /** How long no event may come before a person is told what may be missing. */
  private static final long PATIENCE_S = 10;

  private static final String NOTHING_YET = "nothing yet: is Auto-Dev enabled, and the agent INTERN?";

  private Client() {}

  public static void main(String[] arguments) {
    if (arguments.length != 3) {
      System.err.println("usage: client.Client <address> <key file> <agent>");
      System.exit(2);
    }
    try {
      run(arguments[0], Path.of(arguments[1]), arguments[2]);
    } catch (StatusRuntimeException error) {
      // A cause says which connection failed.
      String cause = error.getCause() == null ? "" : " (" + error.getCause().getMessage() + ")";
      System.err.println(error.getMessage() + cause);
      System.exit(1);
    } catch (IOException | InterruptedException error) {
      // Its message may be no more than a file's name.
      System.err.println(error);
      System.exit(1);
    }
  }

  private static void run(String address, Path keyFile, String agent) throws IOException, InterruptedException {
    // Plain text is for this machine only: elsewhere, TlsChannelCredentials.
    ManagedChannel channel =
        Grpc.newChannelBuilder(address, InsecureChannelCredentials.create())
            .defaultServiceConfig(REPEATED)
            // Notices that the gateway, or the way to it, is gone without a word.
            .keepAliveTime(20, TimeUnit.SECONDS)
            .keepAliveTimeout(5, TimeUnit.SECONDS)
            .build();
    try {
      EventServiceBlockingStub events =
          EventServiceGrpc.newBlockingStub(channel).withInterceptors(key(keyFile));
      PublishRequest failures =
          PublishRequest.newBuilder()
              .addEvents(failure(agent, "return calendar.monthrange(year, month)[0]", "last_day(2024, 2) gave 3"))
              .addEvents(failure(agent, "return calendar.monthrange(year, month)", "last_day(2024, 2) gave (3, 29)"))
              .build();
      PublishResponse published = events.publish(failures);
      System.out.printf("reported %d failures%n", published.getEventIdsCount());
      CompletableFuture<Void> hint =
          CompletableFuture.runAsync(
              () -> System.err.println(NOTHING_YET), CompletableFuture.delayedExecutor(PATIENCE_S, TimeUnit.SECONDS));
      ReviewRequested review = follow(events, agent, published.getCursors(published.getCursorsCount() - 1), hint);
      System.out.printf("%s: autodev review show %s%n", review.getTitle(), review.getReviewId());
    } finally {
      channel.shutdownNow();
    }
  }

  /** Sends the key with every call. */
  private static ClientInterceptor key(Path file) throws IOException {
    Metadata headers = new Metadata();
    Metadata.Key<String> authorization = Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);
    headers.put(authorization, "Bearer " + Files.readString(file).strip());
    return MetadataUtils.newAttachHeadersInterceptor(headers);
  }

  /** One failed attempt. The ids of the event and the episode are ours; the same ones again change nothing. */
  private static Event failure(String agent, String statement, String error) {
    TaskEvent attempt =
        TaskEvent.newBuilder()
            .setEpisodeId("episode-" + UUID.randomUUID())
            .setAgentId(agent)
            .setTaskDescription(TASK)
            .setCode("import calendar\n\n\ndef last_day(year, month):\n    " + statement + "\n")
            .setErrorTrace("AssertionError: " + error)
            .setOutcome(Outcome.OUTCOME_FAILURE)
            .addAllExamples(EXAMPLES)
            .build();
    return Event.newBuilder().setId(UUID.randomUUID().toString()).setTaskFailed(attempt).build();
  }

  /**
   * Prints the agent's events after a cursor; gives the one that asks for a review. Where the subscription breaks off,
   * subscribes again behind what was read, so that no event is missed or repeated. The first event ends the hint.
   */
  private static ReviewRequested follow(
      EventServiceBlockingStub events, String agent, String cursor, CompletableFuture<Void> hint)
      throws InterruptedException {
    SubscribeRequest.Builder request =
        SubscribeRequest.newBuilder()
            .setAfterCursor(cursor)
            .setFilter(EventFilter.newBuilder().addAgentIds(agent));
    long pauseMs = SHORTEST_PAUSE_MS;
    while (true) {
      try {
        Iterator<SubscribeResponse> batches = events.subscribe(request.build());
        while (batches.hasNext()) {
          SubscribeResponse batch = batches.next();
          for (Event event : batch.getEventsList()) {
            hint.cancel(false);
            System.out.println(event.getPayloadCase());
            if (event.hasReviewRequested()) {
              return event.getReviewRequested();
            }
          }
          request.setAfterCursor(batch.getHeadCursor());
          pauseMs = SHORTEST_PAUSE_MS;
        }
      } catch (StatusRuntimeException error) {
        if (!RESUMED.contains(error.getStatus().getCode())) {
          throw error;
        }
      }
      // Not all at the same time, when a gateway comes back.
      Thread.sleep(ThreadLocalRandom.current().nextLong(pauseMs));
      pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS);
    }
  }

  private static Example example(String call, String expected) {
    return Example.newBuilder().setCall(call).setExpected(expected).build();
  }
}
