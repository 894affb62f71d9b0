/**
 * The parts of an image config that grow with the instructions of a stage. They are put into the config once, at the end:
 * to copy them for each instruction costs the square of their number.
 */
export class GrowingConfig {
    #env;
    /** The first entry of each name. */
    #envAt = new Map();
    #labels;
    #exposedPorts;
    #volumes;
    #onBuild;
    constructor(config) {
        this.#env = [...(config.env ?? [])];
        for (const [at, entry] of this.#env.entries()) {
            const [name] = /^[^=]*(?==)/.exec(entry) ?? [];
            if (name !== undefined && !this.#envAt.has(name))
                this.#envAt.set(name, at);
        }
        this.#labels = new Map(Object.entries(config.labels ?? {}));
        this.#exposedPorts = new Set(config.exposedPorts);
        this.#volumes = new Set(config.volumes);
        this.#onBuild = [...(config.onBuild ?? [])];
    }
    /** Sets `NAME=value`, in the place of an earlier value. */
    setEnv(name, value) {
        const at = this.#envAt.get(name) ?? this.#env.length;
        this.#envAt.set(name, at);
        this.#env[at] = `${name}=${value}`;
    }
    setLabel(name, value) {
        this.#labels.set(name, value);
    }
    addPorts(ports) {
        for (const port of ports)
            this.#exposedPorts.add(port);
    }
    addVolumes(paths) {
        for (const path of paths)
            this.#volumes.add(path);
    }
    addTrigger(expression) {
        this.#onBuild.push(expression);
    }
    /** The config with all of it. What neither the base nor an instruction gave stays absent. */
    into(config) {
        return {
            ...config,
            env: this.#env.length > 0 ? [...this.#env] : config.env,
            labels: this.#labels.size > 0 ? Object.fromEntries(this.#labels) : config.labels,
            exposedPorts: this.#exposedPorts.size > 0 ? [...this.#exposedPorts] : config.exposedPorts,
            volumes: this.#volumes.size > 0 ? [...this.#volumes] : config.volumes,
            onBuild: this.#onBuild.length > 0 ? [...this.#onBuild] : config.onBuild,
        };
    }
}
//# sourceMappingURL=growing-config.js.map