//! Makes the stubs. protox compiles the protos, so no protoc is needed.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let contracts = protox::compile(
        ["autodev/gateway/v1/event_service.proto"],
        ["../../../protos"],
    )?;
    tonic_prost_build::configure()
        .build_server(false)
        // So that an event's kind has a name.
        .type_attribute(
            "autodev.gateway.v1.Event.payload",
            "#[derive(strum::IntoStaticStr)]",
        )
        .compile_fds(contracts)?;
    Ok(())
}
