export { ManualClock } from "./clock/manual-clock.ts";
export { until } from "./clock/until.ts";
export { makeDebianRoot } from "./docker/debian-root.ts";
export { type ComposeShow, showCompose } from "./docker/show-compose.ts";
export { describeFaults, FAULTS } from "./fake-worker/faults.ts";
export { type RunningFakeWorker, type StartFakeWorkerOptions, startFakeWorker } from "./fake-worker/start-fake-worker.ts";
export type { CallbackAttempt, FakeWorkerStats, SeenRequest } from "./fake-worker/statistics.ts";
export { fakeWorkerStats } from "./fake-worker/stats-client.ts";
export { type TemporaryDirectory, temporaryDirectory } from "./files/temporary-directory.ts";
export { HiveCommands, type HivePlace } from "./hive/hive-commands.ts";
export { type ScriptedGpu, scriptGpu } from "./hive/scripted-gpu.ts";
export { startTestHive, type TestHive, type TestHiveOptions } from "./hive/test-hive.ts";
export {
  type CapturedRequest,
  type CaptureOptions,
  captureRequests,
  type RequestCapture,
  type RequestFilter,
} from "./net/capture-requests.ts";
export { freePort, freePortRange, isPortFree } from "./net/free-port.ts";
export { httpAnswer, RawClient, RawEngine, rawPost, STREAM_HEAD } from "./net/raw-sockets.ts";
export {
  type RecordedAnswer,
  type RecordedRequest,
  type RecordingServer,
  startRecordingServer,
} from "./net/recording-server.ts";
export { familyCpuMs } from "./processes/cpu-time.ts";
export { killAtExit } from "./processes/kill-at-exit.ts";
export { expectNoProcesses, killProcesses } from "./processes/leave-nothing.ts";
export { type MustRunOptions, mustRun } from "./processes/must-run.ts";
export {
  describeProcesses,
  type FoundProcess,
  type ProcessSearch,
  processesOf,
  type Trace,
} from "./processes/processes-of.ts";
export { type Program, type ProgramEnd, type ProgramOptions, startProgram } from "./processes/program.ts";
export { type CommandOptions, type CommandResult, describeCommand, runCommand } from "./processes/run-command.ts";
export { skipsWithout } from "./processes/skips-without.ts";
export { COMPILE_CACHE, programCommand, REPOSITORY, testEnvironment } from "./processes/surroundings.ts";
export type { QueenHiveCaptures } from "./queen/capture-both-ways.ts";
export { type FakeReady, fakeModel, fakeRuntime, fakeWorkerCommand } from "./queen/fake-runtime.ts";
export { HEALTH_MS_MAX, HealthSampler, type HealthSeen, type SamplerConnections } from "./queen/health-sampler.ts";
export { metricOf, type ReadyCounts, readyCounts } from "./queen/metric-of.ts";
export { readyWorkers } from "./queen/ready-workers.ts";
export { startTestCluster, type TestCluster, type TestClusterOptions } from "./queen/test-cluster.ts";
export { startTestQueen, type TestQueen, type TestQueenOptions } from "./queen/test-queen.ts";
export { firstOf, knownHostsLine, type SshGround, type SshGroundOptions, startSshGround } from "./ssh/ground.ts";
export { hiveOn } from "./ssh/hive-on.ts";
export { showLossAndReturn } from "./ssh/show-loss-and-return.ts";
export type { TwoHostsShow } from "./ssh/show-steps.ts";
export { showTwoHosts } from "./ssh/show-two-hosts.ts";
export { makeSshKey, type SshKey } from "./ssh/ssh-keys.ts";
export type { SshServerOptions, SshTestHost } from "./ssh/ssh-test-host.ts";
export { type LinkQuality, type WorsenedLink, worsenLink } from "./ssh/worsened-link.ts";
export { writeStandInEngine } from "./stand-in-engine/write-stand-in.ts";
