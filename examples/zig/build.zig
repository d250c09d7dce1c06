//! zig build        makes zig-out/welcome.wasm
//! zig build test   runs it on a few ops

const std = @import("std");

pub fn build(b: *std.Build) void {
    const gtm_host = b.graph.environ_map.get("GTM_HOST") orelse "gtm-host";
    const target = b.resolveTargetQuery(.{ .cpu_arch = .wasm32, .os_tag = .wasi });
    const optimize: std.builtin.OptimizeMode = .ReleaseSmall;

    const contract = b.addTranslateC(.{
        .root_source_file = b.path("gtm/gtm_plugin.h"),
        .target = target,
        .optimize = optimize,
    });
    const gtm = b.createModule(.{
        .root_source_file = b.path("gtm/gtm.zig"),
        .target = target,
        .optimize = optimize,
        .imports = &.{.{ .name = "c", .module = contract.createModule() }},
    });
    gtm.addIncludePath(b.path("gtm"));
    // Hidden, so that the plugin exports its own functions alone.
    gtm.addCSourceFiles(.{
        .files = &.{ "gtm/gtm.c", "gtm/gtm_bson.c", "gtm/gtm_host.c", "gtm/gtm_plugin.c" },
        .flags = &.{ "-std=c11", "-fvisibility=hidden" },
    });
    const core = b.addExecutable(.{
        .name = "core",
        .root_module = b.createModule(.{
            .root_source_file = b.path("src/welcome.zig"),
            .target = target,
            .optimize = optimize,
            .link_libc = true,
            .imports = &.{.{ .name = "gtm", .module = gtm }},
        }),
    });
    core.entry = .disabled;
    core.rdynamic = true;
    core.wasi_exec_model = .reactor;
    // The stack is memory of each instance, so it is small.
    core.stack_size = 256 * 1024;

    const componentize = b.addSystemCommand(&.{ gtm_host, "componentize" });
    componentize.addArtifactArg(core);
    componentize.addArg("--output");
    const plugin = componentize.addOutputFileArg("welcome.wasm");
    b.getInstallStep().dependOn(&b.addInstallFile(plugin, "welcome.wasm").step);

    const tests = b.addSystemCommand(&.{ "sh", "test.sh" });
    tests.addFileArg(plugin);
    tests.has_side_effects = true;
    b.step("test", "Run the plugin on a few ops").dependOn(&tests.step);
}
