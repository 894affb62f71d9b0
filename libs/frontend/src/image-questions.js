import { formatPlatform } from '@tsbuild/oci';
/** Starts with no image asked for. */
export function createImageQuestions(ask) {
    const asked = new Map();
    const aborter = new AbortController();
    return {
        resolve(reference, platform) {
            const key = `${reference}\n${formatPlatform(platform)}`;
            const known = asked.get(key);
            if (known !== undefined)
                return known;
            const answer = (async () => await ask(reference, platform, aborter.signal))();
            asked.set(key, answer);
            return answer;
        },
        async stop() {
            aborter.abort();
            await Promise.allSettled(asked.values());
        },
    };
}
//# sourceMappingURL=image-questions.js.map