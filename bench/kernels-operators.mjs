export async function operatorFigures() {
  return [];
}
