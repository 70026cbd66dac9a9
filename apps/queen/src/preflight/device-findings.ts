import { formatBytes, type HiveFinding } from "@queen-and-hive/protocol";
import { ok, warn } from "./finding.ts";
import type { ProbeReport } from "./probe-report.ts";

/** GPUs and their drivers; a host without any computes on its processor. */
export function deviceFindings(report: ProbeReport): readonly HiveFinding[] {
  const findings = [...nvidiaFindings(report), ...amdFindings(report)];
  return findings.length === 0 ? [ok("gpu", "none: models run on the processor")] : findings;
}

function nvidiaFindings({ nvidia, nvidiaError, pci }: ProbeReport): readonly HiveFinding[] {
  if (nvidiaError !== null) {
    const advice = `run nvidia-smi there and look at "dmesg | grep -i nvrm"; a driver that does not answer often needs a reboot`;
    return [warn("gpu", `nvidia-smi fails: ${nvidiaError}`, advice)];
  }
  if (nvidia.length > 0) {
    const devices = nvidia.map(({ name, memoryBytes, driver }) =>
      ok("gpu", `${name}, ${formatBytes(memoryBytes)}, driver ${driver}`),
    );
    if (pci.nvidia <= nvidia.length) return devices;
    const lost = warn("gpu", `${pci.nvidia} on the bus, ${nvidia.length} with a driver`, `look at "dmesg | grep -i nvrm" there`);
    return [...devices, lost];
  }
  if (pci.nvidia === 0) return [];
  return [warn("gpu", `${pci.nvidia} of NVIDIA without a driver`, "install NVIDIA's driver there, with nvidia-smi")];
}

function amdFindings({ pci, amdTool, amdError, amdMemoryBytes }: ProbeReport): readonly HiveFinding[] {
  if (amdError !== null) return [warn("gpu", `the tool of ROCm fails: ${amdError}`, "run rocm-smi there")];
  if (pci.amd === 0 && amdMemoryBytes.length === 0) return [];
  const memory = amdMemoryBytes.map(formatBytes).join(", ");
  const found = `${Math.max(pci.amd, amdMemoryBytes.length)} of AMD${memory === "" ? "" : ` (${memory})`}`;
  if (amdMemoryBytes.length === 0) return [warn("gpu", `${found} without a driver`, "load the amdgpu driver there")];
  if (amdTool === null) return [warn("gpu", `${found} without ROCm`, "install rocm-smi there if models are to run on them")];
  return [ok("gpu", found)];
}
