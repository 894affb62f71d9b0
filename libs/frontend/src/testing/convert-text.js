import { digestBytes, parseDiffId } from '@tsbuild/digest';
import { parseDockerfile } from '@tsbuild/dockerfile';
import { UserError } from '@tsbuild/errors';
import { formatPlatform } from '@tsbuild/oci';
import { toGraph } from '../convert.js';
/** Parses the text and turns it into a graph, over images in memory. @param warnings filled also where that fails */
export async function convertText(text, options = {}, warnings = []) {
    const { images, ...given } = options;
    const requests = [];
    const result = await convertWith(text, resolver({ base: {}, ...images }, requests), {
        ...given,
        warn: (warning) => warnings.push(warning),
    });
    return { ...result, warnings, requests };
}
/** Parses the text and turns it into a graph, over images of the caller's own making. */
export function convertWith(text, resolveImage, options = {}) {
    return toGraph({
        dockerfile: parseDockerfile(text, 'Dockerfile'),
        target: undefined,
        buildArgs: {},
        labels: {},
        platform: { os: 'linux', architecture: 'amd64' },
        buildPlatform: { os: 'linux', architecture: 'amd64' },
        isOneOfSeveral: false,
        noCache: false,
        network: 'default',
        extraHosts: [],
        allow: [],
        ulimits: [],
        shmSizeBytes: undefined,
        cgroupParent: undefined,
        namedContexts: new Map(),
        context: contextOf(),
        warn: () => { },
        ...options,
        resolveImage,
    });
}
/** A context whose date nobody knows and that hides nothing, but for what is said otherwise. */
export function contextOf(facts = {}) {
    return {
        sourceDate: async () => undefined,
        remoteDate: async () => undefined,
        hiddenBy: async () => undefined,
        ...facts,
    };
}
function resolver(images, requests) {
    return async (name, platform) => {
        const text = formatPlatform(platform);
        requests.push(`${name} ${text}`);
        const image = images[name];
        if (image === undefined)
            throw new UserError('ERR_IMAGE_NOT_FOUND', `Cannot find image "${name}"`);
        const layers = Array.from({ length: image.layers ?? 1 }, (_, index) => layerOf(`${name} ${text} ${index}`));
        return {
            reference: `registry.test/${name}:latest`,
            manifest: digestBytes(`${name} ${text}`),
            layers,
            config: {
                created: image.created,
                author: image.author,
                platform: image.platform ?? platform,
                config: image.config ?? {},
                diffIds: layers.map((layer) => layer.diffId),
                history: image.history ?? layers.map(() => ({ createdBy: `made ${name}` })),
            },
        };
    };
}
function layerOf(seed) {
    const mediaType = 'application/vnd.oci.image.layer.v1.tar+gzip';
    return { mediaType, digest: digestBytes(seed), size: 100, diffId: parseDiffId(digestBytes(`${seed} tar`)) };
}
/** Names of the graph's vertices, inputs first. */
export const namesOf = ({ graph }) => graph.vertices.map((vertex) => vertex.name);
/** The RUN steps in order. */
export const execsOf = ({ graph }) => graph.vertices.flatMap(({ op }) => (op.kind === 'exec' ? [op] : []));
/** The COPY, ADD and WORKDIR steps in order. */
export const filesOf = ({ graph }) => graph.vertices.flatMap(({ op }) => (op.kind === 'file' ? [op] : []));
/** What the only file step does. */
export const actionsOf = (result) => {
    const steps = filesOf(result);
    if (steps.length !== 1)
        throw new RangeError(`there are ${steps.length} file steps`);
    return steps.flatMap((step) => step.actions);
};
/** The vertex whose name ends with `text`. */
export function vertexOf({ graph }, text) {
    const vertex = graph.vertices.find(({ name }) => name.endsWith(text));
    if (vertex === undefined)
        throw new RangeError(`no vertex is named "…${text}"`);
    return vertex;
}
/** `createdBy` of what the build adds, with `-` in front where there is no layer. */
export const historyOf = ({ image }) => image.history.map(({ createdBy, emptyLayer }) => `${emptyLayer ? '- ' : ''}${createdBy}`);
//# sourceMappingURL=convert-text.js.map