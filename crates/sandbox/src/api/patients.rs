//! Synthetic patient records: made from their id, the same each time, of nobody.

use axum::Json;
use axum::extract::Path;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::answer::{Refusal, check_text};
use super::gateway::check_sum;

const GIVEN_NAMES: &[&str] = &["Alma", "Bruno", "Carla", "Dario", "Edda", "Falk", "Greta", "Henrik", "Ilse", "Jonas"];
const FAMILY_NAMES: &[&str] = &["Ashdown", "Birkett", "Corwell", "Dunmere", "Eastley", "Farrow", "Garside", "Holt"];
const ALLERGIES: &[&str] = &["penicillin", "latex", "peanuts", "iodine", "aspirin", "sulfonamides"];
const MEDICATIONS: &[&str] = &["metformin", "lisinopril", "atorvastatin", "salbutamol", "omeprazole", "warfarin"];
const MEASURES: &[(&str, &str, f64, f64)] = &[
    ("heart rate", "1/min", 50.0, 110.0),
    ("systolic pressure", "mmHg", 95.0, 165.0),
    ("temperature", "°C", 35.8, 39.4),
    ("oxygen saturation", "%", 90.0, 100.0),
];

#[derive(Serialize)]
pub struct Patient {
    id: String,
    synthetic: bool,
    name: String,
    birth_date: String,
    record_number: String,
    ward: String,
    allergies: Vec<&'static str>,
    medications: Vec<Medication>,
    observations: Vec<Observation>,
}

#[derive(Serialize)]
struct Medication {
    name: &'static str,
    dose_mg: u32,
    times_per_day: u32,
}

#[derive(Serialize)]
struct Observation {
    measure: &'static str,
    value: f64,
    unit: &'static str,
    minutes_ago: u32,
}

pub async fn one(Path(id): Path<String>) -> Result<Json<Patient>, Refusal> {
    check_text("id", &id)?;
    Ok(Json(patient(id)))
}

fn patient(id: String) -> Patient {
    let mut random = ChaCha8Rng::seed_from_u64(check_sum(&id));
    let mut pick = |from: &[&'static str]| from[random.random_range(0..from.len())];
    let name = format!("{} {}", pick(GIVEN_NAMES), pick(FAMILY_NAMES));
    let allergies = vec![pick(ALLERGIES)];
    let names = [pick(MEDICATIONS), pick(MEDICATIONS), pick(MEDICATIONS)];
    let medications = names
        .into_iter()
        .map(|name| Medication {
            name,
            dose_mg: random.random_range(1..=100) * 5,
            times_per_day: random.random_range(1..=4),
        })
        .collect();
    let observations = MEASURES
        .iter()
        .cycle()
        .take(8)
        .zip(0_u32..)
        .map(|(&(measure, unit, low, high), i)| Observation {
            measure,
            value: (random.random_range(low..high) * 10.0).round() / 10.0,
            unit,
            minutes_ago: i * 30 + random.random_range(0..30),
        })
        .collect();
    Patient {
        synthetic: true,
        name,
        birth_date: format!(
            "{}-{:02}-{:02}",
            random.random_range(1930..2020),
            random.random_range(1..=12),
            random.random_range(1..=28)
        ),
        record_number: format!("SYN-{:08}", random.random_range(0..100_000_000)),
        ward: format!("ward-{}", random.random_range(0..24)),
        allergies,
        medications,
        observations,
        id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patient_is_the_same_each_time_and_another_for_another_id() {
        let text = |id: &str| serde_json::to_string(&patient(id.into())).unwrap();
        assert_eq!(text("patient-1"), text("patient-1"));
        assert_ne!(text("patient-1")[20..], text("patient-2")[20..]);
    }
}
