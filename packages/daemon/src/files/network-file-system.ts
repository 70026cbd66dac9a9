import { existsSync, readFileSync, realpathSync, statfsSync } from "node:fs";
import { dirname, resolve } from "node:path";

/**
 * The name of the network file system under a path (or under its nearest existing parent), or null when it is local.
 * Locks and fsync cannot be relied on there, and two machines would share one state directory.
 */
export function isNetworkFileSystem(path: string): string | null {
  let place = resolve(path);
  while (!existsSync(place) && place !== "/") place = dirname(place);
  const magic = statfsSync(place).type >>> 0;
  const mounted = (): string | null => mountTypeOf(realpathSync(place), readFileSync("/proc/self/mountinfo", "utf8"));
  return nameNetworkFileSystem(magic, magic === FUSE_MAGIC ? mounted() : null);
}

/**
 * The name of a network file system, or null for a local one. `magic` is f_type of statfs(2); `mountType` (as mount(8) names
 * it) decides for FUSE, which carries both.
 */
export function nameNetworkFileSystem(magic: number, mountType: string | null): string | null {
  if (magic !== FUSE_MAGIC) return NETWORK_MAGICS.get(magic) ?? null;
  return mountType !== null && NETWORK_FUSE.test(mountType) ? mountType : null;
}

/** The file system type of the mount that a path lies on, from the text of /proc/self/mountinfo (proc_pid_mountinfo(5)). */
export function mountTypeOf(path: string, mountinfo: string): string | null {
  let longest = -1;
  let type: string | null = null;
  for (const line of mountinfo.split("\n")) {
    const [before, after] = line.split(" - ");
    const point = before
      ?.split(" ")[4]
      ?.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
    if (point === undefined || after === undefined) continue;
    const covers = point === "/" || path === point || path.startsWith(`${point}/`);
    // The later of two mounts at one place hides the earlier.
    if (covers && point.length >= longest) {
      longest = point.length;
      type = after.split(" ")[0] ?? null;
    }
  }
  return type;
}

const FUSE_MAGIC = 0x65735546;

/** f_type of statfs(2) and the kernel's magic.h. */
const NETWORK_MAGICS: ReadonlyMap<number, string> = new Map([
  [0x6969, "nfs"],
  [0x517b, "smb"],
  [0xfe534d42, "smb2"],
  [0xff534d42, "cifs"],
  [0x00c36400, "ceph"],
  [0x5346414f, "afs"],
  [0x73757245, "coda"],
  [0x564c, "ncp"],
  [0x01021997, "9p"],
  [0x0bd00bd0, "lustre"],
  [0x47504653, "gpfs"],
  [0x19830326, "beegfs"],
  [0x7461636f, "ocfs2"],
  [0x01161970, "gfs2"],
]);

/** FUSE carries local file systems too (ntfs, mergerfs, overlayfs of rootless containers); these are the remote ones. */
const NETWORK_FUSE =
  /^fuse\.(sshfs|glusterfs|ceph|ceph-fuse|s3fs|rclone|juicefs|mountpoint-s3|gcsfuse|davfs|curlftpfs|smbnetfs|moosefs|mfs|seaweedfs)/;
