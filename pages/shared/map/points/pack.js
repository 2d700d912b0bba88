// Reads what mess_core/maps/packed.py has packed: safetensors, and titles as JSON.

const ARRAYS = { F32: Float32Array, U16: Uint16Array, U8: Uint8Array };

/** The arrays of a pack by name, and under "header" its texts. */
export function readPack(buffer) {
  const start = 8 + Number(new DataView(buffer).getBigUint64(0, true));
  const { __metadata__: header = {}, ...entries } = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, start - 8)));
  const read = { header };
  for (const [name, { dtype, data_offsets: [from, to] }] of Object.entries(entries)) {
    const Numbers = ARRAYS[dtype];
    read[name] = new Numbers(buffer, start + from, (to - from) / Numbers.BYTES_PER_ELEMENT);
  }
  return read;
}

async function answerOf(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${address}: ${answer.status}`);
  return answer;
}

/** What is fetched, each kind kept until another address is asked for. */
export class Packs {
  #kept = {};

  /** A pack; the promise is the same as long as the address is. */
  pack(kind, address) {
    return this.#ask(kind, address, async () => readPack(await (await answerOf(address)).arrayBuffer()));
  }

  titles(address) {
    return this.#ask("titles", address, async () => (await answerOf(address)).json());
  }

  #ask(kind, address, fetched) {
    if (this.#kept[kind]?.address !== address) {
      const promise = fetched();
      this.#kept[kind] = { address, promise };
      promise.catch(() => this.#kept[kind]?.promise === promise && delete this.#kept[kind]); // the next one asks again
    }
    return this.#kept[kind].promise;
  }
}
