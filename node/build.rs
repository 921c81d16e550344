//! Leaves Node-API's symbols for the host process to provide, where the linker must be told.

fn main() {
    napi_build::setup();
}
