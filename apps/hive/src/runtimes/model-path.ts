import { realpathSync } from "node:fs";
import { isAbsolute, join, relative } from "node:path";
import { errorCodeOf } from "@queen-and-hive/daemon";
import { QhError } from "@queen-and-hive/protocol";

/** Where models lie on this host. */
export interface ModelPlaces {
  readonly modelsDir: string | null;
  readonly modelRoots: readonly string[] | null;
}

/** The absolute path of a model's file or directory, which exists and lies where models may lie. Throws `model_missing`. */
export function locateModel(path: string, { modelsDir, modelRoots }: ModelPlaces, param = "/spec/model/path"): string {
  if (!isAbsolute(path) && modelsDir === null) {
    throw missing(
      { path, param },
      `cannot find the model ${path}: its path is relative and this host has no models_dir; set models_dir or write the whole path`,
    );
  }
  const absolute = isAbsolute(path) ? path : join(modelsDir ?? "", path);
  const real = realPath(absolute);
  if (real === null)
    throw missing({ path, param }, `cannot find the model ${absolute} on this host; put it there or correct its path`);
  if (modelRoots !== null && !modelRoots.some((root) => isInside(realPath(root), real))) {
    throw missing(
      { path, param },
      `cannot use the model ${absolute}: its real path ${real} lies outside of model_roots (${modelRoots.join(", ")}); add its place there`,
    );
  }
  return absolute;
}

function missing({ path, param }: { readonly path: string; readonly param: string }, message: string): QhError {
  return new QhError("model_missing", message, { param, details: { cause: "model_missing", path } });
}

function realPath(path: string): string | null {
  try {
    return realpathSync(path);
  } catch (error) {
    const code = errorCodeOf(error);
    if (code === "ENOENT" || code === "ENOTDIR" || code === "EACCES" || code === "ELOOP") return null;
    throw error;
  }
}

function isInside(root: string | null, path: string): boolean {
  if (root === null) return false;
  const rest = relative(root, path);
  return rest === "" || (!rest.startsWith("..") && !isAbsolute(rest));
}
