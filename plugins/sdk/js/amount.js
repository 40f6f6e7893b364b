const MILLION = 1_000_000n;
/** The most that can be reported: 12 digits before the point. */
const MOST = 999_999_999_999_999_999n;

/**
 * An exact amount: millionths of a unit, from 0 to 999999999999.999999. No floating point: what a buyer pays can be added up
 * by hand.
 */
export class Amount {
  #micros;

  constructor(micros) {
    this.#micros = micros > MOST ? MOST : micros;
  }

  /** Whole units. */
  static units(units) {
    return new Amount(BigInt(units) * MILLION);
  }

  /** What a number prints as, rounded down to a millionth; undefined for what is negative, not finite or too large. */
  static of(value) {
    if (!(value >= 0 && value < 1e12)) return undefined;
    const text = String(Math.abs(value));
    // Below a millionth JavaScript prints exponents.
    return text.includes("e") ? new Amount(0n) : scaled(text, 6);
  }

  /**
   * A whole number in units of so many, rounded down to a millionth: bytes in units of 1,000,000,000 are gigabytes.
   * Undefined for what is negative, not finite or too large.
   */
  static inUnits(value, unit) {
    if (!(value >= 0 && value < Infinity)) return undefined;
    return checked((BigInt(Math.trunc(value)) * MILLION) / BigInt(unit));
  }

  /** A Kubernetes quantity such as 2, 0.5, 1500m, 16Gi, rounded down to a millionth; undefined for what is none. */
  static quantity(text) {
    const [, digits, suffix] = /^\+?([0-9.]+)([a-zA-Z]*)$/.exec(text) ?? [];
    if (digits === undefined) return undefined;
    const power = ["Ki", "Mi", "Gi", "Ti", "Pi"].indexOf(suffix);
    if (power >= 0) {
      const amount = scaled(digits, 6);
      return amount && checked(amount.#micros << BigInt(10 * (power + 1)));
    }
    const places = { n: -3, u: 0, m: 3, "": 6, k: 9, M: 12, G: 15, T: 18 }[suffix];
    return places === undefined ? undefined : scaled(digits, places);
  }

  /** The sum; it stops at the most that can be reported. */
  plus(other) {
    return new Amount(this.#micros + other.#micros);
  }

  /** The decimal of the interface, such as 812.250000. */
  toString() {
    return `${this.#micros / MILLION}.${String(this.#micros % MILLION).padStart(6, "0")}`;
  }
}

function checked(micros) {
  return micros <= MOST ? new Amount(micros) : undefined;
}

/** The decimal times 10^places millionths, rounded down. */
function scaled(decimal, places) {
  const parts = /^([0-9]*)(?:\.([0-9]*))?$/.exec(decimal);
  if (!parts) return undefined;
  const [, whole, fraction = ""] = parts;
  const digits = whole + fraction;
  if (digits === "") return undefined;
  const kept = Math.max(whole.length + places, 0);
  return checked(BigInt(digits.padEnd(kept, "0").slice(0, kept) || "0"));
}
