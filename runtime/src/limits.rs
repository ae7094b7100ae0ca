//! Every bound of the runtime in one place: what a module may be and what a call may do.
//!
//! A limit that the run needs has its twin at deploy, so that a module which passes the
//! gatekeeper never meets an engine limit. All of them enter the runtime profile.

macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident: $int:ty = $value:expr;)*) => {
        $($(#[$doc])* pub const $name: $int = $value;)*

        /// Names and values, for the runtime profile.
        pub(crate) const ALL: &[(&str, u64)] = &[$((stringify!($name), $value as u64)),*];
    };
}

limits! {
    /// Bytes of a module as its author sends it, and of any module that enters the compiler.
    MODULE_BYTES_MAX: usize = 1 << 20;
    /// Bytes of a metered module: instrumentation adds at most a few instructions per block.
    METERED_BYTES_MAX: usize = 8 << 20;
    /// Types.
    TYPES_MAX: u32 = 1024;
    /// Imports, all of them functions of `zapp0`.
    IMPORTS_MAX: u32 = 32;
    /// Functions with a body; each takes about 70 µs to compile.
    FUNCTIONS_MAX: u32 = 8192;
    /// Exports.
    EXPORTS_MAX: u32 = 64;
    /// Globals.
    GLOBALS_MAX: u32 = 256;
    /// Pages of 64 KiB that a memory may declare.
    MEMORY_PAGES_MAX: u64 = 256;
    /// Entries of the function table.
    TABLE_ENTRIES_MAX: u64 = 10_000;
    /// Element segments.
    ELEMENT_SEGMENTS_MAX: u32 = 1024;
    /// Entries of all element segments together.
    ELEMENTS_MAX: u64 = 10_000;
    /// Data segments.
    DATA_SEGMENTS_MAX: u32 = 1024;
    /// Bytes of one function body.
    BODY_BYTES_MAX: usize = 128 << 10;
    /// Operators of one function body.
    BODY_OPERATORS_MAX: u32 = 65_536;
    /// Compile weight of one function body, see [`crate::schedule::compile_weight`]: 5,000 calls
    /// or 2,500 ifs, 0.25 s of compiling.
    BODY_WEIGHT_MAX: u32 = 160_000;
    /// Compile weight of a module: 3 s of compiling.
    MODULE_WEIGHT_MAX: u32 = 2_000_000;
    /// Blocks, loops and ifs of one function.
    BODY_BLOCKS_MAX: u32 = 5_000;
    /// Blocks, loops and ifs of a module.
    MODULE_BLOCKS_MAX: u32 = 50_000;
    /// Blocks within blocks.
    NESTING_MAX: u32 = 256;
    /// Values on the operand stack of one function.
    OPERANDS_MAX: u32 = 1024;
    /// Parameters of a function or block.
    PARAMETERS_MAX: usize = 64;
    /// Results of a function; more than one is allowed only for blocks.
    RESULTS_MAX: usize = 1;
    /// Results of a block.
    BLOCK_RESULTS_MAX: usize = 64;
    /// Locals of one function, without parameters.
    LOCALS_MAX: u32 = 1024;
    /// Locals of a module.
    MODULE_LOCALS_MAX: u32 = 50_000;
    /// Targets of one `br_table`.
    TARGETS_MAX: u32 = 1024;
    /// Targets of all `br_table`s.
    MODULE_TARGETS_MAX: u32 = 16_384;
    /// Bytes of the two custom sections that are kept.
    CUSTOM_BYTES_MAX: usize = 64 << 10;

    /// Logical stack of a call; a frame takes 64 and 16 for each parameter, local and operand.
    STACK_BYTES: i32 = 512 << 10;
    /// Most gas of one call: a step's, whatever the request allows.
    CALL_GAS_MAX: u64 = state::limits::STEP_GAS_MAX;
    /// Bytes of a state key.
    KEY_BYTES_MAX: usize = state::limits::KEY_BYTES_MAX;
    /// Bytes of a state value.
    VALUE_BYTES_MAX: usize = state::limits::VALUE_BYTES_MAX;
    /// Writes of one call: sets and deletions, counted each time.
    WRITES_MAX: usize = state::limits::WRITES_MAX;
    /// Events of one call.
    EVENTS_MAX: usize = state::limits::EVENTS_MAX;
    /// Bytes of the writes of one call, keys and values, counted each time.
    WRITES_BYTES_MAX: usize = state::limits::WRITES_BYTES_MAX;
    /// Bytes of an event's topic.
    TOPIC_BYTES_MAX: usize = 256;
    /// Bytes of the events of one call, topics and data.
    EVENTS_BYTES_MAX: usize = state::limits::EVENTS_BYTES_MAX;
    /// Outbound messages of one call.
    POSTS_MAX: usize = state::limits::POSTS_MAX;
    /// Bytes of the outbound messages of one call, labels and payloads.
    POSTS_BYTES_MAX: usize = state::limits::POSTS_BYTES_MAX;
    /// Bytes of the payload of an outbound message.
    PAYLOAD_BYTES_MAX: usize = attestation::leaf::PAYLOAD_BYTES_MAX;
    /// Bytes of the label of a channel.
    LABEL_BYTES_MAX: usize = attestation::leaf::LABEL_BYTES_MAX;
    /// zApps that run at once, each called by the one before.
    FRAMES_MAX: usize = state::limits::FRAMES_MAX;
    /// Pages of memory that zApps which run at once may grow to, all together.
    FRAMES_PAGES_MAX: u64 = state::limits::FRAMES_PAGES_MAX;
    /// zApps that one request may call, each counted once.
    CALLEES_MAX: usize = state::limits::CALLEES_MAX;
    /// Bytes of the input of a zApp that another one calls: name and arguments.
    CALL_INPUT_BYTES_MAX: usize = 65 + (64 << 10);
    /// Bytes of the output.
    OUTPUT_BYTES_MAX: usize = state::limits::OUTPUT_BYTES_MAX;
    /// Bytes of one log line.
    LOG_BYTES_MAX: usize = 1024;
    /// Bytes of log lines kept for the author; later ones are charged and dropped.
    LOG_TOTAL_BYTES_MAX: usize = 16 << 10;
}
