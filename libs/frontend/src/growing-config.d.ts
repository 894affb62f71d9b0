import type { RuntimeConfig } from '@tsbuild/oci';
/**
 * The parts of an image config that grow with the instructions of a stage. They are put into the config once, at the end:
 * to copy them for each instruction costs the square of their number.
 */
export declare class GrowingConfig {
    #private;
    constructor(config: RuntimeConfig);
    /** Sets `NAME=value`, in the place of an earlier value. */
    setEnv(name: string, value: string): void;
    setLabel(name: string, value: string): void;
    addPorts(ports: readonly string[]): void;
    addVolumes(paths: readonly string[]): void;
    addTrigger(expression: string): void;
    /** The config with all of it. What neither the base nor an instruction gave stays absent. */
    into(config: RuntimeConfig): RuntimeConfig;
}
//# sourceMappingURL=growing-config.d.ts.map